"""The command line: one command = one call of `Queue` + one rendering. `main` is the program's entry.

This module is the one place where an error becomes a message and an exit code.
"""

from __future__ import annotations

import gc
import os
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Callable, NoReturn, Optional

import click

from queuectl import system
from queuectl.cli.terminal import echo, forget
from queuectl.errors import Interrupted, InvalidInput, QueueError, SpoolUnusable, system_error

_NO_ARGUMENTS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
"""What click 8.2 and newer raise where only help is wanted; older ones print it themselves."""
_COMPLETION = "_QUEUECTL_COMPLETE"
"""Set by a shell that asks what may stand where somebody is typing (`completing`)."""
_FEW_COLLECTIONS = 10_000
"""New objects between two collections of garbage: a start makes many, and all stay; to look through them time
and again took as long as to read the index.
"""


def main(args: Optional[Sequence[str]] = None) -> NoReturn:
    """Run the program and exit with its code."""
    gc.set_threshold(_FEW_COLLECTIONS)
    code = run(sys.argv[1:] if args is None else list(args))
    life = sys.modules.get("queuectl.life")
    if life is not None and life.lasts():
        # A task does not end, and Python would wait for threads that it has made.
        _end_now(code)
    # As it ends Python looks for garbage among all objects, several times: a tenth of what `status` takes.
    gc.freeze()
    sys.exit(code)


def _end_now(code: int) -> NoReturn:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def run(args: list[str]) -> int:
    """Run the program; its exit code."""
    if _COMPLETION in os.environ:
        from queuectl.cli.completing import answer

        return answer(os.environ[_COMPLETION])
    from queuectl.cli.root import root

    _never_fail_to_print()
    try:
        # Not root.main: it turns errors into exits itself, each version of click in its own way.
        with root.make_context("queuectl", args) as context:
            code = root.invoke(context)
    except click.exceptions.Exit as request:
        return request.exit_code
    except _NO_ARGUMENTS as wish:
        echo(wish.format_message())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, OSError) and error.filename is None and system.is_unread(error):
            # `queuectl list | head`: who reads has seen enough. What has a code to tell catches it itself.
            forget(sys.stdout)
            return 0
        translated = _translate(error)
        if translated is None:
            raise
        try:
            _print_error(translated, as_json=_wants_json(args))
        except OSError:
            # Nobody hears it any more, and the code says it, too.
            forget(sys.stderr)
        return translated.exit_code
    return code if isinstance(code, int) else 0


def _translate(error: BaseException) -> Optional[QueueError]:
    """What the user is told for `error`; None for one that is our own mistake."""
    if isinstance(error, QueueError):
        return error
    for kind, translate in _TRANSLATIONS:
        if isinstance(error, kind):
            return translate(error)
    return None


def _usage(error: click.UsageError) -> QueueError:
    where = error.ctx.command_path if error.ctx else "queuectl"
    return InvalidInput(error.format_message(), hint=f"{where} --help")


def _index_error(error: sqlite3.Error) -> QueueError:
    from queuectl.index import usable_error

    return usable_error(error, "the index")


def _import_error(error: ImportError) -> Optional[QueueError]:
    # A module that the system could not open for want of descriptors or memory, and no mistake of ours.
    import errno

    lacks = [os.strerror(number) for number in (errno.EMFILE, errno.ENFILE, errno.ENOMEM)]
    return SpoolUnusable(str(error)) if any(lack in str(error) for lack in lacks) else None


_TRANSLATIONS: tuple[tuple[type[BaseException], Callable[[Any], Optional[QueueError]]], ...] = (
    (click.UsageError, _usage),
    (click.ClickException, lambda error: InvalidInput(error.format_message())),
    (KeyboardInterrupt, lambda error: Interrupted("interrupted")),
    (click.Abort, lambda error: Interrupted("interrupted")),
    (UnicodeEncodeError, lambda error: InvalidInput(f"not valid Unicode: {error.object!r}")),
    (OSError, system_error),
    (ImportError, _import_error),
    (sqlite3.Error, _index_error),
)


def _print_error(error: QueueError, *, as_json: bool) -> None:
    if as_json:
        from json import dumps

        click.echo(dumps(error.data()), err=True)
    else:
        echo(f"queuectl: {error}", err=True)


def _wants_json(args: list[str]) -> bool:
    ours = args[: args.index("--")] if "--" in args else args
    return "--json" in ours


def _never_fail_to_print() -> None:
    # A console of an older code page cannot show every character of an id or a command.
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
