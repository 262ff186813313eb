"""Files that should be jobs and are not, or only just: every kind of brokenness that people and tools make.

Generated, not kept as files: git, Windows and editors would each mend some of them.
"""

from __future__ import annotations

import codecs
import json
from typing import Any, NamedTuple

JOB, BLANK, NO_JOB, TOO_LARGE = "job", "blank", "no job", "too large"
"""What becomes of an animal in `pending`: it runs, waits for its content, is set aside. What is too large
there is a job elsewhere: whatever the setting is, a record that was one is read.
"""
LIMIT = 2**20
"""The largest job, as the setting has it at first."""


class Animal(NamedTuple):
    """A file's bytes, and what they are: a job, nothing yet, or no job; `name` is good for a file."""

    name: str
    data: bytes
    kind: str


def job(**fields: Any) -> bytes:
    """A job's bytes; ASCII, so that what is no Unicode is escaped."""
    return json.dumps({"command": "echo hi", **fields}).encode()


TEXT = '{\n  "command": "echo übung 日本 🎉",\n  "tags": ["ü"]\n}\n'
RECORD = job(
    id="record",
    env={"A": "ü"},
    run_at="2020-01-01T09:00:00Z",
    timeout=1.5,
    success_exit_codes=[0, 3],
    tags=["t"],
    meta={"n": [1, {"x": None}]},
    history=[{"outcome": "failed", "exit_code": 1}],
)
"""A whole job, for those that cut and mend."""


def _encodings() -> dict[str, tuple[bytes, str]]:
    marked = {
        "utf-8-mark": codecs.BOM_UTF8 + TEXT.encode(),
        "utf-16-le-mark": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        "utf-16-be-mark": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        "utf-32-le-mark": codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        "utf-32-be-mark": codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
        "crlf": TEXT.replace("\n", "\r\n").encode(),
        "cr": TEXT.replace("\n", "\r").encode(),
    }
    broken = {
        "utf-8-two-marks": codecs.BOM_UTF8 * 2 + TEXT.encode(),
        "utf-8-mark-inside": TEXT.encode().replace(b"{", b"{" + codecs.BOM_UTF8, 1),
        "utf-7-mark": b"+/v8-" + TEXT.encode("utf-7"),
        "utf-16-le": TEXT.encode("utf-16-le"),
        "utf-16-be": TEXT.encode("utf-16-be"),
        "utf-32-le": TEXT.encode("utf-32-le"),
        "utf-32-be": TEXT.encode("utf-32-be"),
        "utf-16-of-the-wrong-mark": codecs.BOM_UTF16_BE + TEXT.encode("utf-16-le"),
        "utf-16-of-odd-length": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")[:-1],
        "utf-16-lone-surrogate": codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le").replace(b"e\0", b"\0\xd8", 1),
        "utf-16-mark-and-utf-8": codecs.BOM_UTF16_LE + TEXT.encode(),
        "utf-8-mark-and-utf-16": codecs.BOM_UTF8 + TEXT.encode("utf-16-le"),
        "latin-1": TEXT.replace("日本 🎉", "").encode("latin-1"),
        "shift-jis": b'{"command": "echo \x93\xfa\x96{"}',
        "ebcdic": b"\xc0\x7f\x83\x96\x94\x94\x81\x95\x84\x7f\x7a\x7f\xa7\x7f\xd0",
        "raw-lone-surrogate": b'{"command": "\xed\xa0\x80"}',
        "overlong-utf-8": b'{"command": "\xc0\xaf"}',
        "beyond-unicode": b'{"command": "\xf4\x90\x80\x80"}',
        "nul-behind": RECORD + b"\0",
        "nul-between": RECORD.replace(b" ", b"\0"),
        "vertical-tab": RECORD.replace(b" ", b"\x0b"),
        "no-break-space": RECORD.replace(b" ", b"\xc2\xa0"),
    }
    return {
        **{name: (data, JOB) for name, data in marked.items()},
        **{name: (data, NO_JOB) for name, data in broken.items()},
    }


def _blanks() -> dict[str, tuple[bytes, str]]:
    blanks = {
        "empty": b"",
        "space": b" ",
        "newlines": b"\r\n\n\r",
        "only-utf-8-mark": codecs.BOM_UTF8,
        "only-utf-16-mark": codecs.BOM_UTF16_LE,
        "only-utf-32-mark": codecs.BOM_UTF32_BE,
        "all-ones": b"\xff" * 4096,
        "nuls": b"\0" * 4096,  # What a power cut leaves of a file, and a download that has just begun.
    }
    return {name: (data, BLANK) for name, data in blanks.items()}


_OTHER_FILES: dict[str, bytes] = {
    "text": b"hello",
    "number": b"3",
    "null": b"null",
    "true": b"true",
    "string": b'"echo hi"',
    "array": b"[]",
    "empty-object": b"{}",
    "array-of-a-job": b"[" + RECORD + b"]",
    "two-jobs": RECORD + b"\n" + RECORD,
    "trailing-brace": RECORD + b"}",
    "trailing-word": RECORD + b" done",
    "leading-word": b"job: " + RECORD,
    "trailing-comma": b'{"command": "x",}',
    "single-quotes": b"{'command': 'x'}",
    "bare-keys": b'{command: "x"}',
    "line-comment": b'// a job\n{"command": "x"}',
    "block-comment": b'{"command": "x" /* why */}',
    "hash-comment": b'# a job\n{"command": "x"}',
    "yaml": b"---\ncommand: echo hi\n",
    "toml": b'command = "echo hi"\n',
    "ini": b"[job]\ncommand=echo hi\n",
    "xml": b'<?xml version="1.0"?><job><command>x</command></job>',
    "shell-script": b"#!/bin/sh\necho hi\n",
    "zip": b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(range(256)),
    "gzip": b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + bytes(range(256)),
    "exe": b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0" + bytes(range(256)),
    "elf": b"\x7fELF\x02\x01\x01\0" + bytes(range(256)),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "sqlite": b"SQLite format 3\0" + b"\x10\0\x01\x01" + bytes(100),
    "every-byte": bytes(range(256)),
    "json-with-a-prefix-against-hijacking": b")]}',\n" + RECORD,
    "nan": b'{"command": "x", "timeout": NaN}',
    "infinity": b'{"command": "x", "timeout": Infinity}',
    "minus-infinity": b'{"command": "x", "timeout": -Infinity}',
    "1e999": b'{"command": "x", "timeout": 1e999}',
    "1e999-in-meta": b'{"command": "x", "meta": {"a": 1e999}}',
    "hexadecimal": b'{"command": "x", "priority": 0x10}',
    "leading-zero": b'{"command": "x", "priority": 007}',
    "plus": b'{"command": "x", "priority": +1}',
    "bare-point": b'{"command": "x", "timeout": 1.}',
    "escaped-lone-surrogate": b'{"command": "\\ud800"}',
    "escaped-surrogates-in-the-wrong-order": b'{"command": "\\udc00\\ud800"}',
    "lone-surrogate-as-a-key": b'{"command": "x", "\\udfff": 1}',
    "lone-surrogate-in-meta": b'{"command": "x", "meta": {"\\ud800": 1}}',
    "unknown-escape": b'{"command": "\\x41"}',
    "raw-newline-in-text": b'{"command": "a\nb"}',
    "command-twice-of-two-kinds": b'{"command": "x", "command": 3}',
    "unknown-field-twice": b'{"command": "x", "zzz": 1, "zzz": 2}',
    "field-in-capitals": b'{"Command": "x"}',
    "prototype": b'{"command": "x", "__proto__": {"id": "y"}}',
    "empty-field-name": b'{"command": "x", "": 1}',
    "nothing-but-an-id": b'{"id": "x"}',
    "command-null": b'{"command": null}',
}

_FIELDS: dict[str, list[Any]] = {
    "command": ["", " ", "\t\n", "a\0b", [], [""], [" ", "a"], ["a", "b\0"], 3, True, {}, [[]], [3], [None]],
    "id": [
        *("", ".", "..", "a/b", "../../x", "/etc/x", "a\\b", "C:\\x", "con", "NUL.txt", "com1", "x" * 201),
        *("x.", "x ", "-x", "~x", ".x", "a\0b", "a\nb", "a:b", "a*b", 3, [], {}),
    ],
    "shell": ["zsh", "", "sh ", "SH", 3, [], "/bin/sh", "sh\0"],
    "cwd": ["", "\0", "a\0b", 3, [], {}],
    "env": [
        *({"": "1"}, {"A=B": "1"}, {"=A": "1"}, {"A\0": "1"}, {"A": "\0"}, {"A": 1}, {"A": None}),
        *([], "A=1"),
    ],
    "stdin": [3, [], {}, False],
    "priority": [2**31, -(2**31) - 1, 2**63, -(2**63) - 1, 10**40, 1.5, "1", [], {}],
    "run_at": [
        *(
            "",
            "tomorrow",
            "2027-01-01",
            "2027-01-01T09:00:00",
            "2027-02-30T09:00:00Z",
            "2016-12-31T23:59:60Z",
        ),
        *("10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "-2027-01-01T09:00:00Z", "2027-01-01T24:00:00Z"),
        *("2027-01-01T09:00:00+99:99", "2027-01-01T09:00:00Z\n", "\uff12\uff10\uff12\uff17-01-01T09:00:00Z"),
        *(1800000000, -1, 1.5, [], {}, False),
    ],
    "timeout": [0, -1, -0.0, 1e-400, 1e9 + 1, 1e300, 10**40, "5", [], False],
    "max_retries": [-1, 10**9 + 1, 2**63, 10**40, 1.5, "3", [], True],
    "backoff_base": [-1, -0.1, 1e300, 10**40, "2", [], True],
    "success_exit_codes": [0, "0", {}, [2**32], [-(2**31) - 1], ["0"], [1.5], [None], [[0]], [True]],
    "no_retry_exit_codes": [None, 0, "0", {}, [2**32], [10**40], ["0"], [None]],
    "tags": [None, "a", {}, [""], ["a\nb"], ["\n"], [3], [None], [["a"]]],
    "meta": [[], "a", 3, True, [{}]],
    "on_success": [
        *("", [], [""], {}, 3, True, {"comand": "x"}, {"command": ""}, {"file": 3}, {"file": " "}),
        *({"command": "x", "id": "y"}, {"command": "x", "on_dead": "y"}),
    ],
    "state": ["", "ready", "running", "pending ", 3, None, [], {}],
    "attempts": [-1, 10**9 + 1, 2**63, 1.5, "1", None, True],
    "crashes": [-1, 10**9 + 1, 2**63, 1.5, "1", None, True],
    "created_at": [3, [], {}, False],
    "updated_at": [3, [], {}, False],
    "exit_code": [2**32, -(2**31) - 1, 2**63, 2**64 - 1, 10**40, 1.5, "1", [], False],
    "error": [3, [], {}, False],
    "history": [
        *(None, {}, "a", 3, [3], [[]], [{}], [{"outcome": 3}], [{"outcome": "x", "attempt": -1}]),
        *([{"outcome": "x", "exit_code": 2**64}], [{"outcome": "x", "zzz": 1}]),
        [{"outcome": "x", "attempt": "1"}],
    ],
    "$schema": [3, [], {}],
    "colour": ["red"],
    "comand": ["x"],
    "x\0y": [1],
    "x\ny\u001b[31m": [1],
}
"""Values that a field cannot have."""

_STRANGE_JOBS: dict[str, dict[str, Any]] = {
    "line-break-in-the-command": {"command": "echo a\necho b"},
    "escapes-in-the-command": {"command": "echo \x1b]0;owned\x07\x1b[31m\r\x08"},
    "markup-in-the-command": {"command": "echo [bold red]x[/] [link=file:///]y"},
    "right-to-left": {"command": "echo \u202egpj.exe\u202c"},
    "not-a-character": {"command": "echo \uffff\ufffe"},
    "another-id": {"id": "another"},
    "control-character-in-a-tag": {"tags": ["\x1b[31m", "\t", " "]},
    "cwd-that-is-not-there": {"cwd": "no/such/folder"},
    "cwd-above": {"cwd": "../../../../../.."},
    "env-of-strange-names": {"env": {" ": "1", "a b": "", "ü": "ü", "A": "1", "a": "2", "-": "-"}},
    "run-at-in-the-past": {"run_at": "0001-01-01T00:00:00Z"},
    "smallest-timeout": {"timeout": 5e-324},
    "largest-timeout": {"timeout": 1e9},
    "limits": {"priority": -(2**31), "max_retries": 10**9, "backoff_base": 1e9, "exit_code": 2**32 - 1},
    "many-codes": {"success_exit_codes": [-(2**31), 2**32 - 1], "no_retry_exit_codes": [0, 0]},
    "times-of-no-form": {"created_at": "", "updated_at": "last week\x1b[31m"},
    "time-of-creation-that-is-absurd": {"created_at": "9999-12-31T23:59:59.999999999+00:00"},
    "counts-at-their-limits": {"attempts": 10**9, "crashes": 10**9, "max_retries": 10**9},
    "says-it-is-done": {"state": "completed", "exit_code": 0, "error": "none"},
    "says-it-is-dead": {"state": "DEAD", "attempts": 7, "error": "x\x1b[31m\ny"},
    "says-it-runs": {"state": "processing"},
    "error-of-many-lines": {"error": "a\n" * 1000},
    "long-history": {"history": [{"outcome": "failed"}] * 1000},
    "history-of-nonsense": {
        "history": [{"outcome": "", "worker": "../..", "started_at": "\0", "error": "\n"}]
    },
    "deep-but-not-too-deep": {"meta": json.loads('{"a":' * 190 + "1" + "}" * 190)},
    "meta-of-numbers": {"meta": {"big": 2**64 - 1, "small": 5e-324, "zero": -0.0, "": [None, True]}},
    "null-where-that-is-the-default": {"id": None, "shell": None, "cwd": None, "timeout": None, "meta": None},
    "stdin-with-nul": {"stdin": "\0\x1a\x04"},
    "schema-of-elsewhere": {"$schema": "https://example.org/\x1b[31m"},
}


def _raw_jobs() -> dict[str, tuple[bytes, str]]:
    jobs = {
        "field-twice": b'{"command": "x", "command": "y", "priority": 1, "priority": 2}',
        "env-name-twice": b'{"command": "x", "env": {"A": "1", "A": "2"}}',
        "escaped-field-name": b'{"\\u0063ommand": "x"}',
        "number-below-all": b'{"command": "x", "meta": {"a": 1e-999}}',
        "every-escape": b'{"command": "\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\ud83c\\udf89"}',
        "white-space-around": b"\r\n\t " + RECORD + b" \t\r\n" * 50,
    }
    return {name: (data, JOB) for name, data in jobs.items()}


def _deep() -> dict[str, tuple[bytes, str]]:
    def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
        return b'{"command": "x", "meta": {"a": ' + opening * depth + b"1" + closing * depth + b"}}"

    def hooks(depth: int) -> bytes:
        return b'{"command": "x", "on_success": ' * depth + b'"y"' + b"}" * depth

    return {
        "hook-of-a-hook": (hooks(2), NO_JOB),
        "deep-hooks": (hooks(450), NO_JOB),
        "very-deep-hooks": (hooks(30_000), NO_JOB),
        "deep-lists-in-a-hook": (
            job(on_dead={"command": "x", "meta": {"a": "@"}}).replace(b'"@"', b"[" * 250 + b"]" * 250),
            NO_JOB,
        ),
        "deep-lists": (nested(b"[", b"]", 250), NO_JOB),
        "very-deep-lists": (nested(b"[", b"]", 100_000), NO_JOB),
        "very-deep-objects": (nested(b'{"a":', b"}", 100_000), NO_JOB),
        "deep-and-cut-off": (nested(b"[", b"", 100_000), NO_JOB),
        "deep-command": (b'{"command": ' + b"[" * 100_000, NO_JOB),
        "deep-unknown-field": (b'{"command": "x", "zzz": ' + b"[" * 100_000, NO_JOB),
        "deep-history": (b'{"command": "x", "history": ' + b"[" * 100_000, NO_JOB),
        "only-brackets": (b"[" * 100_000, NO_JOB),
        "only-braces": (b"{" * 100_000, NO_JOB),
    }


def small() -> list[Animal]:
    """The animals of up to some hundred KB."""
    found = {**_encodings(), **_blanks(), **_raw_jobs(), **_deep()}
    found.update({name: (data, NO_JOB) for name, data in _OTHER_FILES.items()})
    found.update({name: (job(**fields), JOB) for name, fields in _STRANGE_JOBS.items()})
    for field, values in _FIELDS.items():
        shown = "".join(letter for letter in field if letter.isalnum() or letter == "_")
        found.update(
            {f"{shown}-{place}": (job(**{field: value}), NO_JOB) for place, value in enumerate(values)}
        )
    return [Animal(name, data, kind) for name, (data, kind) in found.items()]


def large() -> list[Animal]:
    """Animals as large as a job may be, or a little more, and such as take a careless reader for ever."""

    def filled(before: bytes, unit: bytes, behind: bytes = b"", size: int = LIMIT) -> bytes:
        return before + unit * ((size - len(before) - len(behind)) // len(unit)) + behind

    meta, run, open_run = b'{"command": "x", "meta": {"a": ', b'{"command": "x", "run_at": "', _STOPS_EARLY
    found = {
        "as-large-as-may-be": (filled(meta + b'"', b"x", b'"}}'), JOB),
        "a-byte-too-large": (filled(meta + b'"', b"x", b'"}}', LIMIT + 1), TOO_LARGE),
        "white-space-beyond-the-limit": (filled(b'{"command": "x"', b" ", b"}", 2 * LIMIT), JOB),
        "twenty-times-too-large": (filled(meta + b'"', b"x", b'"}}', 20 * LIMIT), TOO_LARGE),
        "digits": (filled(meta, b"9", b"}}"), NO_JOB),
        "digits-behind-the-point": (filled(meta + b"0.", b"9", b"}}"), JOB),
        "exponent-of-many-digits": (filled(b'{"command": "x", "timeout": 1e', b"9", b"}"), NO_JOB),
        "many-words": (filled(b'{"command": ["x"', b',"a"', b"]}"), JOB),
        "many-keys": (filled(meta + b"{", b'"a":1,', b'"b":1}}}'), JOB),
        "long-id": (filled(b'{"command": "x", "id": "', b"x", b'"}'), NO_JOB),
        "long-time": (filled(run, b"9", b'"}'), NO_JOB),
        "long-field-name": (filled(b'{"command": "x", "', b"command", b'": 1}'), NO_JOB),
        "long-escaped-field-name": (filled(b'{"command": "x", "', b"\\u007a", b'": 1}'), NO_JOB),
        "brackets": (filled(meta, b"["), NO_JOB),
        "quotes-behind-a-mistake": (filled(open_run, b'"'), NO_JOB),
        "backslashes-behind-a-mistake": (filled(open_run + b'"', b"\\"), NO_JOB),
        "text-without-end-behind-a-mistake": (filled(open_run + b'"', b'\\"'), NO_JOB),
        "white-space-behind-a-mistake": (filled(open_run + b'"a"', b" "), NO_JOB),
        "names-behind-a-mistake": (filled(open_run, b'"\\u007a":'), NO_JOB),
    }
    return [Animal(name, data, kind) for name, (data, kind) in found.items()]


_STOPS_EARLY = b'{"command": "x", "history": [{"zzz": 1}], '
"""What a decoder reads of it before it stops: who looks for the place of the mistake goes on to the end."""


def truncations(data: bytes = RECORD) -> list[bytes]:
    """A file at every moment of its being written, but the last."""
    return [data[:length] for length in range(len(data))]
