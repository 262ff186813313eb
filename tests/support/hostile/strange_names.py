"""Names of files: good for a job though they look strange, bad for one, nobody's, and such at random."""

from __future__ import annotations

import random
import unicodedata

GOOD = [
    "plain.json",
    "with space.json",
    "a.b.c.json",
    "x.JSON",
    "note.json.txt",
    "Capital.Json.TXT",
    "json.json",
    "error.txt.json",
    "README.json",
    "conn.json",
    "com10.json",
    "a-2.json",
    "a--.json",
    "a~.json",
    "$HOME.json",
    "%PATH%.json",
    "`id`.json",
    "$(id).json",
    "a;b.json",
    "a&b.json",
    "a'b.json",
    "#a.json",
    "!a.json",
    "@a.json",
    "[a].json",
    "{a}.json",
    "host-1-1-old.json",
    "claim.lock.json",
    "ü.json",
    "日本語.json",
    "🎉.json",
    "a\u200bb.json",
    "\u0301.json",
    "a\ufffeb.json",
    "\ue000.json",
    "İ.json",
    "ß.json",
    "x" * 200 + ".json",
]
TWINS = [
    (unicodedata.normalize("NFC", "é.json"), unicodedata.normalize("NFD", "é.json")),
    ("Twin.json", "tWIN.json"),
    ("straße.json", "STRASSE.json"),
    ("\u017f.json", "S.json"),
    ("Ω.json", "\u2126.json"),
    ("twice.json", "twice.json.txt"),
    ("thrice.JSON", "thrice.json.txt"),
]
"""Two names of one id."""
BAD = [
    "con.json",
    "NUL.txt.json",
    "aux.json.txt",
    "com1.json",
    "LPT¹.json",
    "conin$.json",
    "..json",
    "...json",
    "-rf.json",
    "--help.json",
    "~a.json",
    " a.json",
    "a .json",
    "a..json",
    "x" * 201 + ".json",
    "é" * 120 + ".json",
    "a\nb.json",
    "a\rb.json",
    "a\tb.json",
    "a\x1b[31mb.json",
    "a\x1b]0;owned\x07.json",
    "a\x7fb.json",
    "a\x01.json",
    "a\u0085b.json",
    "a\u2028b.json",
    "a\u202egpj.json",
    "a:b.json",
    "a*b.json",
    "a?b.json",
    'a"b.json',
    "a<b>.json",
    "a|b.json",
    "a\\b.json",
    "..\\..\\x.json",
    "C:\\x.json",
]
"""Named like a job, by a name that no job has."""
NOBODYS = [".hidden.json", "~$a.json", "desktop.ini", "Thumbs.db", "a.json.tmp", "a.part", "a.json~", ".json"]
TOLD = ["job", "json", "a.txt", "a.json5", "a.yaml", "a.json.bak", "a.json.gz", "a .json ", "paused.txt"]
"""Not named like a job."""
BYTES = [b"\xff.json", b"a\xed\xa0\x80.json", b"\xc3.json", b"\xff", b"caf\xe9.json", b"\x80\x1b[31m.json"]
"""Names of another encoding (POSIX)."""


def random_name(chance: random.Random) -> str:
    pieces = ["a", "A", "é", "e\u0301", ".", "..", " ", "-", "~", "con", "nul", "\n", "\x1b[31m", "\u202e"]
    pieces += [
        "🎉",
        "x" * 60,
        "json",
        ".json",
        ".txt",
        "'",
        '"',
        "*",
        "?",
        ":",
        "\\",
        "\udcff",
        "$",
        "2",
        "-2",
    ]
    stem = "".join(chance.choices(pieces, k=chance.randrange(6)))
    return stem + chance.choice([".json", ".json", ".JSON", ".json.txt", ".error.txt", "", ".json "])
