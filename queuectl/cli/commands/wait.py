"""wait."""

from __future__ import annotations

from typing import Optional

import click

from queuectl.cli.commands.act import ids_argument
from queuectl.cli.common import command, json_option, open_queue, print_json
from queuectl.cli.job_options import seconds
from queuectl.cli.terminal import whoever_reads
from queuectl.cli.waiting import Rows, wait_for


@command("wait", "queuectl wait nightly-report\nqueuectl wait extract transform load --timeout 2h")
@json_option
@click.option("--timeout", callback=seconds, metavar="TIME", help="Wait no longer than: 90, 10m, 2h30m.")
@ids_argument
def wait_command(as_json: bool, timeout: Optional[float], job_ids: tuple[str, ...]) -> int:
    """Wait until jobs have ended for good, and end as they did.

    A failed job that is to be retried is waited for. The exit code is 0 when all have succeeded, else that of
    the first that has not, in the order given: its command's own; 128 + n after signal n, 124 after its
    timeout, 127 if it could not be started, 1 if it was cancelled, or crashed, 3 if it was deleted. 125:
    --timeout has passed.
    """
    from queuectl.queue.exit_codes import exit_code_of_all

    with open_queue() as queue:
        rows = wait_for(queue, job_ids, timeout, _print_json if as_json else lambda rows: None)
    if as_json:
        _print_json(rows)
    else:
        from queuectl.cli.tables import fates_table, print_table

        with whoever_reads():
            print_table(fates_table(rows))
    return exit_code_of_all(rows)


def _print_json(rows: Rows) -> None:
    with whoever_reads():
        print_json(rows)
