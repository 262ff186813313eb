"""Our lines in a file that a shell reads when it starts: added once, taken out again, all else as it was."""

from __future__ import annotations

import re

from queuectl.errors import Conflict

_NAME = "queuectl completion"
_BEGIN, _END = f"# >>> {_NAME} >>>", f"# <<< {_NAME} <<<"
_BEGIN_BEHIND = f"# >>> {_NAME}, behind a line without an end >>>"
"""The line break before it is ours, too."""
_BLOCK = re.compile(
    rf"(?:(?P<behind>\r?\n){re.escape(_BEGIN_BEHIND)}|^\ufeff?{re.escape(_BEGIN)})\r?\n"
    rf"(?P<body>.*?)^{re.escape(_END)}(?:\r?\n|\Z)",
    re.M | re.S,
)
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
OWN_FILE = f"# {_NAME}: queuectl completion uninstall deletes this file\n"
"""The first line of a file that is all ours."""


def with_script(data: bytes, script: str, new_line: str, where: str) -> bytes:
    """A file's content with this script in it, once; `new_line` ends lines where it has none.

    Raises:
        Conflict: what it holds cannot be told; `where` is its path.
    """
    text, codec = _decoded(data, where)
    new_line = "\r\n" if "\r\n" in text else "\n" if "\n" in text else new_line
    bare = text.lstrip("\ufeff")
    begins = _BEGIN_BEHIND if bare and not bare.endswith("\n") else _BEGIN
    block = new_line.join([begins, *script.splitlines(), _END, ""])
    found = _BLOCK.search(text)
    if found is None:
        text += f"{new_line}{block}" if begins == _BEGIN_BEHIND else block
    elif found["body"].splitlines() != script.splitlines():
        body = new_line.join([*script.splitlines(), ""])
        text = text[: found.start("body")] + body + text[found.end("body") :]
    return text.encode(codec, "surrogatepass")


def without_script(data: bytes, where: str) -> bytes:
    """What the file held before. Raises as `with_script`."""
    text, codec = _decoded(data, where)
    while found := _BLOCK.search(text):
        before, after = text[: found.start()], text[found.end() :]
        if found[0].startswith("\ufeff"):
            before = "\ufeff"
        if found["behind"] and after:
            # Somebody has written on behind it since.
            before += found["behind"]
        text = before + after
    return text.encode(codec, "surrogatepass")


def _decoded(data: bytes, where: str) -> tuple[str, str]:
    # Of an encoding that goes on from ASCII every byte is kept as it is.
    codec = _UTF16.get(data[:2], "latin-1")
    try:
        text = data.decode(codec, "surrogatepass" if codec != "latin-1" else "strict")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Conflict(f"{where} is in no encoding that can be told, so nothing is changed in it")
    blocks = len(_BLOCK.findall(text))
    if not blocks == text.count(f"# >>> {_NAME}") == text.count(_END):
        raise Conflict(f"{where}: take out by hand what is left between {_BEGIN} and {_END}")
    return text, codec
