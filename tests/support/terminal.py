"""The program at a terminal: a pty. There is none on Windows."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import Any, Optional

from tests.support.program import PATIENCE, Program


class Terminal:
    """`queuectl ARGS`, or another command, with a terminal for stdin, stdout and stderr."""

    def __init__(
        self,
        program: Program,
        *args: str,
        columns: int = 120,
        size: Optional[tuple[int, int]] = None,
        command: Optional[list[str]] = None,
    ) -> None:
        """With a `size` (lines, columns) it is that of the terminal, and can be changed."""
        import pty

        ours, theirs = pty.openpty()
        self._ours = ours
        fixed = {} if size else {"COLUMNS": str(columns), "LINES": "40"}
        if size:
            self.resize(*size)
        self.process = subprocess.Popen(
            command or [sys.executable, "-m", "queuectl", "--spool", str(program.spool), *args],
            cwd=program.here,
            env={**program.env, "TERM": "xterm", **fixed},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._seen: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65536)
            except OSError:
                # How Linux says that the other end is closed.
                return
            if not data:
                return
            self._seen.append(data)

    @property
    def text(self) -> str:
        return b"".join(self._seen).decode("utf-8", "replace")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def resize(self, lines: int, columns: int) -> None:
        import fcntl
        import struct
        import termios

        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def end(self) -> int:
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: Any) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(PATIENCE)
        os.close(self._ours)
