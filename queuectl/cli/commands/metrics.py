"""metrics: for Prometheus."""

from __future__ import annotations

import os
from typing import Optional

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.terminal import put
from queuectl.errors import Conflict, InvalidInput, QueueError

_PART = ".queuectl-part"
_OURS, _BEGIN = b"# HELP queuectl_", 64


@command("metrics", "queuectl metrics\nqueuectl metrics --textfile /var/lib/node_exporter/queuectl.prom")
@click.option("--textfile", metavar="F", help="Into this file, for the textfile collector of node_exporter.")
def metrics_command(textfile: Optional[str]) -> None:
    """Print what Prometheus is to know of the queue, in its text format.

    Counters and histograms tell of all runs since the index was made. With --textfile the file is replaced at
    once: whoever reads it finds the old one or the new one, whole.
    """
    try:
        from queuectl.metrics import exposition
    except ImportError as error:
        raise QueueError(
            f"queuectl metrics needs what is not installed here: {error.name}",
            hint='pip install "queuectl-spool[metrics]"',
        ) from error
    with open_queue() as queue:
        data = exposition(queue).data
    if textfile is None:
        put(data)
    else:
        _replace(os.path.realpath(textfile), data)
        if not textfile.endswith(".prom"):
            say(f"{textfile}: node_exporter reads files only whose names end in .prom")


def _replace(path: str, data: bytes) -> None:
    """Have this be in the file, whole or not at all.

    Raises:
        InvalidInput: it is none, or its folder is not there or cannot be written.
        Conflict: it holds something else.
    """
    if os.path.lexists(path) and not os.path.isfile(path):
        raise InvalidInput(f"{path} is no file")
    if not _is_ours(path):
        raise Conflict(
            f"{path} holds something else than metrics of queuectl", hint="name another file, or delete it"
        )
    # Another name than .prom: nobody reads it before it is whole.
    part = f"{path}.{system.process_id()}{_PART}"
    try:
        system.remove(part)
        system.write_file(part, data)
        system.replace(part, path)
    except OSError as error:
        system.remove(part)
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error


def _is_ours(path: str) -> bool:
    """Whether a file of this name may be replaced: there is none, it is empty, or we have written it."""
    try:
        begin = system.read_file(path, _BEGIN)[0]
    except FileNotFoundError:
        return True
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror or error}") from error
    return not begin.strip() or begin.startswith(_OURS)
