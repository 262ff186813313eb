"""open: the spool, or where a job lies in it, in the file manager."""

from __future__ import annotations

import os
from typing import Optional

import click

from queuectl.cli.common import command, ensure_spool, layers, open_queue
from queuectl.cli.terminal import echo
from queuectl.errors import QueueError


@command("open", "queuectl open\nqueuectl open backup\nqueuectl open backup --log")
@click.option("--log", "of_log", is_flag=True, help="Show the file that its command has printed to.")
@click.argument("job_id", metavar="[ID]", required=False)
def open_command(of_log: bool, job_id: Optional[str]) -> None:
    """Open the spool in Explorer, Finder or the file manager, or the folder that a job's file lies in.

    The file is selected where the system can do that (Windows, macOS); it is never opened or run. Where there
    is nothing that could show it, its path is printed, and the exit code is 1.
    """
    if of_log and job_id is None:
        raise click.UsageError("--log is for a job: queuectl open ID --log")
    from queuectl.system import showing

    if job_id is None:
        layers()
        path = ensure_spool()
        problem = showing.show_folder(path)
    else:
        path = _file_of(job_id, of_log)
        problem = showing.show_file(path)
    if problem is not None:
        echo(path)
        raise QueueError(f"cannot show it: {problem}", hint="its path is printed")


def _file_of(job_id: str, of_log: bool) -> str:
    with open_queue() as queue:
        place = queue.locate(job_id)
        spool = queue.store.spool
    if not of_log:
        return spool.path(place)
    log = spool.log_path(place.job_id)
    if not os.path.isfile(log):
        raise QueueError(f"{place.job_id} has printed nothing")
    return log
