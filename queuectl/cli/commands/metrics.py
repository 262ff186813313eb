"""metrics: for Prometheus."""

from __future__ import annotations

import os
from typing import Optional

import click

from queuectl import system
from queuectl.cli.common import command, open_queue, say
from queuectl.cli.terminal import put
from queuectl.errors import InvalidInput, QueueError

_PART = ".queuectl-part"


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
        _replace(os.path.abspath(textfile), data)
        if not textfile.endswith(".prom"):
            say(f"{textfile}: node_exporter reads files only whose names end in .prom")


def _replace(path: str, data: bytes) -> None:
    """Have this be in the file, whole or not at all.

    Raises:
        InvalidInput: it is none, or its folder is not there or cannot be written.
    """
    if os.path.lexists(path) and not os.path.isfile(path):
        raise InvalidInput(f"{path} is no file")
    # Another name than .prom: nobody reads it before it is whole.
    part = f"{path}.{system.process_id()}{_PART}"
    try:
        system.remove(part)
        system.write_file(part, data)
        system.replace(part, path)
    except OSError as error:
        system.remove(part)
        raise InvalidInput(f"cannot write {path}: {error.strerror or error}") from error
