"""Serving the application: the socket, the address to open, the end."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import uvicorn

from queuectl.errors import InvalidInput, SpoolUnusable
from queuectl.queue import Queue
from queuectl.spool import layout
from queuectl.web.app import make_app
from queuectl.web.door import LOCAL_NAMES, PARAMETER, Keeper, Rules
from queuectl.web.keys import keys_of, secret_in

LEAST_PASSWORD = 12
"""Characters of a password that is asked for over a network."""
_ENDING = 2
"""Seconds for which requests that are under way are waited for."""


_RESTING = 15.0
"""Seconds for which what threads still do with the queue is waited for after that."""


class Wish(NamedTuple):
    """What somebody wants to be served."""

    host: str
    port: int
    names: Sequence[str] = ()
    """Others by which this machine is called."""
    password: Optional[str] = None
    read_only: bool = False
    longest_wait: float = 300.0
    """Seconds for which a job that may run can wait while all is well."""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOCAL_NAMES


class Served(NamedTuple):
    """A server that listens, and is not run yet."""

    server: uvicorn.Server
    listener: socket.socket
    address: str
    """The one to open."""
    once: str
    """One that can be opened once: others may see what a browser is started with."""

    def run(self) -> None:
        """Serve until Ctrl+C, or until `end` is called."""
        with self.listener:
            self.server.run(sockets=[self.listener])
        app: Any = self.server.config.app
        app.state.site.rest(_RESTING)

    def end(self) -> None:
        """Have `run` return soon, in another thread."""
        self.server.handle_exit(signal.SIGINT, None)


def served(queue: Queue, wish: Wish) -> Served:
    """A server of this queue.

    Raises:
        InvalidInput: it would be reached from elsewhere without a password.
        SpoolUnusable: the port is taken, or the key of this spool cannot be kept.
    """
    _refuse_openness(wish)
    keys = keys_of(secret_in(os.path.join(queue.root, layout.LOCKS)), queue.root, wish.password)
    rules = Rules(keys, _names(wish), wish.password, wish.read_only, wish.is_local, wish.longest_wait)
    keeper = Keeper(rules)
    listener = _listening(wish)
    settings = uvicorn.Config(
        make_app(queue, keeper),
        log_level="warning",
        # Lines of it would tell the key of the first visit.
        access_log=False,
        server_header=False,
        # What a proxy says of whoever asks: there may be none, and whoever asks says it himself.
        proxy_headers=False,
        timeout_graceful_shutdown=_ENDING,
    )
    name = f"[{wish.host}]" if ":" in wish.host else wish.host
    address = f"http://{name}:{listener.getsockname()[1]}/?{PARAMETER}="
    return Served(_Server(settings), listener, address + keys.token, address + keeper.ticket())


class _Server(uvicorn.Server):
    """Ends streams, too, which would go on for ever; and its program in good order, whatever the signal."""

    def handle_exit(self, sig: int, frame: object) -> None:
        """As uvicorn does, but for raising the signal again in the end."""
        app: Any = self.config.app
        app.state.site.watcher.end()
        self.force_exit = self.should_exit
        self.should_exit = True


def _refuse_openness(wish: Wish) -> None:
    if wish.is_local or (wish.password is not None and len(wish.password) >= LEAST_PASSWORD):
        return
    raise InvalidInput(
        f"others reach {wish.host}: that takes a password of {LEAST_PASSWORD} characters at least",
        hint="--password-file FILE, or QUEUECTL_WEB_PASSWORD in the environment",
    )


def _names(wish: Wish) -> list[str]:
    own = [] if wish.host in ("0.0.0.0", "::") else [wish.host.lower()]
    return [*LOCAL_NAMES, *own, *(name.lower() for name in wish.names)]


def _listening(wish: Wish) -> socket.socket:
    family = socket.AF_INET6 if ":" in wish.host else socket.AF_INET
    try:
        return socket.create_server((wish.host, wish.port), family=family)
    except OSError as error:
        raise SpoolUnusable(
            f"cannot listen on {wish.host}, port {wish.port}: {error.strerror or error}",
            hint="--port 0 takes any that is free",
        ) from error
    except ValueError:
        # A name that no network could have, or a null character in it.
        raise InvalidInput(f"{wish.host!r} is no address to listen on") from None
