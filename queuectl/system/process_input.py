"""What a command reads from its standard input, the same on every system."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Union


@contextmanager
def standard_input(data: Union[bytes, int, None]) -> Iterator[Union[int, IO[bytes]]]:
    """What to give to Popen as stdin: a nameless file with ``data``, or the null device for None, or an open
    file by its number.

    A file, because a pipe would need somebody to feed it and a command need not read it. Raises OSError.
    """
    if data is None or isinstance(data, int):
        yield subprocess.DEVNULL if data is None else data
        return
    import tempfile

    with tempfile.TemporaryFile() as stream:
        stream.write(data)
        stream.flush()
        stream.seek(0)
        yield stream


@contextmanager
def only_os_errors() -> Iterator[None]:
    """Turn Popen's ValueError (a NUL in an argument, "=" in a variable's name) into an OSError."""
    try:
        yield
    except ValueError as error:
        raise OSError(errno.EINVAL, str(error)) from error
