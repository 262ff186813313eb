"""prune, archive, export, import."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, Optional, cast

import click

from queuectl import system
from queuectl.cli.common import command, confirm, json_option, open_queue, print_json, say, yes_option
from queuectl.cli.job_options import seconds
from queuectl.cli.terminal import echo, forget
from queuectl.errors import Busy, Conflict, InvalidInput, SpoolUnusable
from queuectl.spool.tmp import ABANDONED_AGE
from queuectl.state import State

state_option = click.option("--state", metavar="STATE", help="Only completed (or done), or only dead.")
age_option = click.option(
    "--older-than", callback=seconds, metavar="TIME", help="Those that ended so long ago: 30d, 12h."
)
_UNITS = ("bytes", "KiB", "MiB", "GiB")
_STEP = 1024
_STDOUT = "standard output"
_NOT_DONE = "nothing was deleted or replaced"


@command("prune", "queuectl prune --dry-run\nqueuectl prune --state dead --older-than 90d --yes")
@json_option
@yes_option
@state_option
@age_option
@click.option("--keep", type=click.IntRange(0, 10**9), help="The latest so many stay in any case.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
def prune_command(
    as_json: bool,
    yes: bool,
    state: Optional[str],
    older_than: Optional[float],
    keep: Optional[int],
    dry_run: bool,
) -> int:
    """Delete jobs that have ended, with their logs: what the settings keep no longer.

    With --older-than or --keep what these say, of completed jobs, or of the state that is named. Workers do
    by themselves what the settings say: keep_done, keep_dead, keep_logs and so on.
    """
    with open_queue() as queue:
        house = queue.house
        plan = house.plan(state=state, older_than=older_than, keep=keep)
        found = house.count(plan) if dry_run or not yes else None
        if found is not None and not dry_run and not found.nothing:
            confirm(f"Delete {_counted(found)} ({shown_size(found.size)}) for good?")
        told = found if dry_run and found is not None else house.carry_out(plan)
    if as_json:
        counts = {one.value: told.jobs.get(one, 0) for one in (State.COMPLETED, State.DEAD)}
        print_json({**counts, "logs": told.logs, "bytes": told.size, "left": told.left, "dry_run": dry_run})
    elif not plan.edges and plan.logs_before is None:
        say("no setting says what may go: queuectl config set keep_done 30d, or --older-than 30d")
    elif told.nothing:
        say("nothing to delete")
    else:
        say(f"{'would delete' if dry_run else 'deleted'} {_counted(told)}: {shown_size(told.size)}")
    return _left(told.left)


def _left(count: int) -> int:
    """The exit code, for so many jobs that somebody holds."""
    if count:
        say(f"{_some(count, 'job')} could not be read or deleted just now: try again")
    return Busy.exit_code if count else 0


def _counted(found: Any) -> str:
    parts = [_some(count, f"{state.value} job") for state, count in found.jobs.items() if count]
    return ", ".join(
        parts + ([_some(found.logs, "log without a job", "logs without jobs")] if found.logs else [])
    )


def _some(count: int, what: str, several: Optional[str] = None) -> str:
    if count == 1:
        return f"1 {what}"
    return f"{count} {several or f'{what}s'}"


def shown_size(size: int) -> str:
    """So many bytes, for people."""
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{size} {unit}" if unit == _UNITS[0] else f"{value:.1f} {unit}"


@command("archive", "queuectl archive --older-than 90d\nqueuectl archive --state dead --to D:\\archive")
@json_option
@state_option
@age_option
@click.option("--to", metavar="DIR", help="The folder of the zip files; else archive, in the spool.")
def archive_command(
    as_json: bool, state: Optional[str], older_than: Optional[float], to: Optional[str]
) -> int:
    """Move jobs that have ended, with their logs, into a zip file for each month."""
    with open_queue() as queue:
        done = queue.house.archive(state=state, older_than=older_than, to=to)
    if as_json:
        print_json({"jobs": done.jobs, "bytes": done.size, "files": done.files, "left": done.left})
        return _left(done.left)
    for path in done.files:
        echo(path)
    put = f"put away {_some(done.jobs, 'job')}: {shown_size(done.size)}"
    say(put if done.jobs else "nothing to put away")
    return _left(done.left)


@command("export", "queuectl export jobs.jsonl --logs\nqueuectl export --state dead | jq .error")
@json_option
@click.option("--state", "states", multiple=True, metavar="STATE", help="Only these; may be repeated.")
@click.option("--logs", is_flag=True, help="With what their commands printed.")
@click.option("--replace", is_flag=True, help="In place of a file that is there.")
@click.argument("file", metavar="[FILE|-]", default="-")
def export_command(as_json: bool, states: tuple[str, ...], logs: bool, replace: bool, file: str) -> None:
    """Write jobs as JSON Lines, each record whole, to a file or to standard output."""
    if as_json and file == "-":
        raise click.UsageError("the jobs go to standard output: name a file to have --json tell of it")
    with open_queue() as queue, _written(file, replace) as target:
        done = queue.house.export(target, states=states, logs=logs)
    for path in done.left_out:
        say(f"{path} holds no job, or was set aside as none, and was left out")
    for job_id in done.logs_left_out:
        from queuectl.queue.exporting import LARGEST_LOG

        most = shown_size(LARGEST_LOG)
        say(f"job {job_id!r}: its log was left out: it cannot be read, or is larger than {most}")
    if as_json:
        left = {"left_out": done.left_out, "logs_left_out": done.logs_left_out}
        print_json({"file": os.path.abspath(file), "jobs": done.jobs, **left})
    elif file != "-":
        say(f"exported {_some(done.jobs, 'job')}")


class _Output:
    """What is exported goes through here, so that it is told what cannot be written."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name

    def write(self, data: bytes) -> int:
        with _telling(self._name):
            return self._file.write(data)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        if name != _STDOUT:
            raise SpoolUnusable(f"cannot write {name}: {why}", hint=_NOT_DONE) from error
        # A reader that has seen enough, too: who has asked for all jobs must not take some for all.
        forget(sys.stdout)
        raise SpoolUnusable(
            f"cannot write to {name}: {why}", hint="what it got of the export is cut"
        ) from error


@contextmanager
def _written(path: str, replace: bool) -> Iterator[IO[bytes]]:
    """The file to write to, which is there once it is whole, and lasts."""
    if path == "-":
        yield cast("IO[bytes]", _Output(sys.stdout.buffer, _STDOUT))
        with _telling(_STDOUT):
            sys.stdout.buffer.flush()
        return
    if os.path.lexists(path) and not (replace and os.path.isfile(path)):
        raise Conflict(f"{path} exists already", hint="--replace puts this in its place")
    with _telling(path):
        _remove_abandoned(path)
        new = f"{path}.{os.urandom(6).hex()}.tmp"
        try:
            # For its owner alone: jobs hold secrets.
            with open(new, "xb", opener=lambda name, flags: system.open_plainly(name, flags, 0o600)) as file:
                yield cast("IO[bytes]", _Output(file, path))
                file.flush()
                system.sync_descriptor(file.fileno())
            system.replace(new, path)
        except BaseException:
            system.remove(new)
            raise
        system.sync_folder(os.path.dirname(os.path.abspath(path)))


def _remove_abandoned(path: str) -> None:
    """What exports to this path have left that were killed."""
    folder, name = os.path.split(os.path.abspath(path))
    ours = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{12}}\.tmp")
    with suppress(OSError):
        for other in filter(ours.fullmatch, system.names_in(folder)):
            left = os.path.join(folder, other)
            if system.now() - os.lstat(left).st_mtime > ABANDONED_AGE:
                system.remove(left, patience=0.0)


@command("import", "queuectl import jobs.jsonl\nqueuectl import --skip-existing - < jobs.jsonl")
@json_option
@click.option("--skip-existing", is_flag=True, help="Leave out jobs whose ids are taken.")
@click.option("--rename", is_flag=True, help="Give jobs whose ids are taken the next free ones.")
@click.argument("file", metavar="FILE|-")
def import_command(as_json: bool, skip_existing: bool, rename: bool, file: str) -> None:
    """Put the jobs of an export where they lay: what has run is not run again.

    All or none: the whole file is checked first, and nothing is overwritten.
    """
    if skip_existing and rename:
        raise click.UsageError("--skip-existing and --rename are two ways: choose one")
    with open_queue() as queue, _read(file) as source:
        done = queue.house.import_(source, skip_existing=skip_existing, rename=rename)
        paths = [queue.store.spool.path(place) for place in done.places]
    for job_id in done.logs_left_out:
        say(f"job {job_id!r}: its log was left out, as another one has its name")
    if as_json:
        jobs = [
            {"id": place.job_id, "state": place.state.value, "file": path}
            for place, path in zip(done.places, paths)
        ]
        print_json({"jobs": jobs, "skipped": done.skipped, "logs_left_out": done.logs_left_out})
        return
    left = f", {len(done.skipped)} left out that are there" if done.skipped else ""
    say(f"imported {_some(len(done.places), 'job')}{left}")


@contextmanager
def _read(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    with file:
        yield file
