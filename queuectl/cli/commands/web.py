"""web: the queue in the browser."""

from __future__ import annotations

import os
import sys
from typing import Optional

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.job_options import seconds
from queuectl.cli.terminal import echo
from queuectl.errors import InvalidInput, QueueError

PORT = 8520
PASSWORD = "QUEUECTL_WEB_PASSWORD"
_LONGEST = 1024


@command("web", "queuectl web --open\nqueuectl web --port 8000 --read-only")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one."
)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser, too.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option("--allow-host", "names", multiple=True, metavar="NAME", help="A name that it may be called by.")
@click.option("--password-file", metavar="FILE", help="Whoever knows what it holds is let in, too.")
@click.option("--read-only", is_flag=True, help="Show only; nothing can be changed.")
@click.option(
    "--longest-wait",
    callback=seconds,
    default="5m",
    show_default=True,
    metavar="TIME",
    help="A job that may run and waits longer makes /healthz say that all is not well.",
)
def web_command(
    port: int,
    opens: bool,
    host: str,
    names: tuple[str, ...],
    password_file: Optional[str],
    read_only: bool,
    longest_wait: float,
) -> None:
    """Show the queue in the browser, until Ctrl+C.

    It listens on this machine alone, and only the address that is printed lets a browser in. Elsewhere
    (--host) it demands a password.
    """
    try:
        from queuectl.web.server import Wish, served
    except ImportError as error:
        raise QueueError(
            f"queuectl web needs what is not installed here: {error.name}",
            hint='pip install "queuectl-spool[web]"',
        ) from error

    wish = Wish(host, port, names, _password(password_file), read_only, longest_wait)
    with open_queue() as queue:
        made = served(queue, wish)
        echo(made.address)
        sys.stdout.flush()
        say("Ctrl+C ends it.")
        if opens and (problem := _shown(made.once)) is not None:
            say(f"cannot open it: {problem}")
        made.run()


def _shown(address: str) -> Optional[str]:
    from queuectl.system import showing

    return showing.show_page(address)


def _password(path: Optional[str]) -> Optional[str]:
    """What its file holds, or the environment.

    Raises:
        InvalidInput: the file cannot be read, or is empty.
    """
    if path is None:
        return os.environ.get(PASSWORD) or None
    try:
        data, _ = system.read_file(path, _LONGEST)
        text = data.decode("utf-8-sig").strip()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read the password from {path}: {error}") from None
    if not text:
        raise InvalidInput(f"{path} is empty: it should hold a password")
    return text
