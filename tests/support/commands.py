"""Commands that run on every system: small Python programs."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager


def python(code: str, *arguments: str) -> list[str]:
    """A command that runs this code; without `site` it starts in half the time."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


class Post:
    """Where commands report: `line` is one that has connected, and it tells when its process has ended."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.port = listener.getsockname()[1]

    def hold(self, before: str = "") -> list[str]:
        """A command that connects and then sleeps for longer than any test."""
        return python(
            f"{before}\nimport socket, sys, time\n"
            "line = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\ntime.sleep(600)",
            str(self.port),
        )

    @contextmanager
    def line(self) -> Iterator[Line]:
        connection, _ = self._listener.accept()
        connection.settimeout(30)
        with closing(connection):
            yield Line(connection)


class Line:
    """The connection to a process."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait_for_end(self) -> None:
        """Return when the process has ended; fails after 30 s."""
        try:
            assert self._connection.recv(1) == b""
        except ConnectionResetError:
            return


@contextmanager
def post() -> Iterator[Post]:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(30)
        yield Post(listener)
