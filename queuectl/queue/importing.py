"""Jobs from elsewhere, from the lines that `exporting` writes: back to where they lay."""

from __future__ import annotations

import codecs
import io
import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import IO, Callable, NamedTuple, Optional

import msgspec

from queuectl import system
from queuectl.codec import decode_job, job_size
from queuectl.errors import Conflict, InvalidInput, SpoolUnusable
from queuectl.job import Job, parents
from queuectl.names import fold, next_free
from queuectl.queue.enqueue import Prepared, admit, refuse_known
from queuectl.queue.lines import LogLine, read_job, read_log
from queuectl.queue.store import Store
from queuectl.queue.survey import reconcile_all
from queuectl.queue.ties import linked_anew
from queuectl.spool import Place, layout, too_large
from queuectl.spool.tmp import move_in
from queuectl.state import WAITING, State

AT_ONCE = 1000
"""Jobs that are admitted together, all or none: claims wait meanwhile."""
LARGEST = 2**31
"""Bytes that are read of a log, or of a record, at most."""
_WRITTEN_AT_ONCE = 256
_TAKEN = "--skip-existing leaves such jobs out, --rename gives them other ids"


class Imported(NamedTuple):
    """Where the jobs lie now, in the order of their lines; ids that were there, and are left out; those whose
    logs are left out, as there are others of their names.
    """

    places: list[Place]
    skipped: list[str]
    logs_left_out: list[str]


class _Ready(NamedTuple):
    """A job whose record lies in `tmp/`, at `path`, and so does its log perhaps; the batch that it belongs
    to, and those that it waits for.
    """

    path: str
    place: Place
    version: tuple[int, int]
    batch: Optional[str]
    waits: tuple[str, ...]


class _Lines:
    """The lines of one file, on their way in."""

    def __init__(self, store: Store, choose: Callable[[Job, Collection[str]], Optional[str]]) -> None:
        self._store, self._choose = store, choose
        self._limit = store.config.max_job_bytes
        self.ready: list[_Ready] = []
        self.logs: dict[str, str] = {}
        """Of each job that has one, the path of its log in `tmp/`."""
        self.skipped: list[str] = []
        self._names: dict[str, Optional[str]] = {}
        """By the ids that the lines give: those under which they come in, None if they do not."""
        self._renamed: dict[str, str] = {}
        """Of those that come in under another id, that, by their ids as those are compared."""
        self._folds: set[str] = set()
        self._jobs: list[tuple[Job, State]] = []

    def take(self, file: IO[bytes]) -> None:
        """Check every line, and write what is in it to `tmp/`.

        Raises:
            InvalidInput, Conflict: one of them cannot come in; says which.
        """
        number = 0
        try:
            for text in _texts(file):
                number += 1
                if text.strip():
                    self._take(text)
        except UnicodeDecodeError:
            raise InvalidInput(f"line {number + 1}: not text in UTF-8") from None
        except InvalidInput as error:
            raise InvalidInput(f"line {number}: {error.message}", hint=error.hint) from None
        except Conflict as error:
            raise Conflict(f"line {number}: {error.message}", hint=_TAKEN) from None
        self._write()

    def _take(self, text: str) -> None:
        log = read_log(text)
        if log is not None:
            self._take_log(log)
            return
        job, state = read_job(text)
        if job.id is None:
            raise InvalidInput("the field 'id' is missing", hint="new jobs come in by queuectl enqueue -")
        if job.id in self._names:
            raise Conflict(f"the id {job.id!r} is given twice")
        if state in WAITING and job_size(job) > self._limit:
            raise too_large(self._limit)
        name = self._names[job.id] = self._choose(job, self._folds)
        if name is None:
            self.skipped.append(job.id)
            return
        if name != job.id:
            self._renamed.setdefault(fold(job.id), name)
        self._folds.add(fold(name))
        self._jobs.append((msgspec.structs.replace(job, id=name), state))
        if len(self._jobs) == _WRITTEN_AT_ONCE:
            self._write()

    def _take_log(self, line: LogLine) -> None:
        if line.log not in self._names:
            raise InvalidInput(f"a log of {line.log!r}, and no line before it has that job")
        name = self._names[line.log]
        if name is None or name in self.logs:
            return
        try:
            data = line.data
        except ValueError:
            raise InvalidInput(f"the log of {line.log!r} is not in Base64") from None
        path = self._store.spool.tmp.new("log")
        system.write_file(path, data)
        self.logs[name] = path

    def _write(self) -> None:
        written = self._store.spool.prepare([job for job, _ in self._jobs])
        for (job, state), (path, version) in zip(self._jobs, written):
            waits = tuple(one.batch for one in parents(job) if one.batch is not None)
            self.ready.append(_Ready(path, Place(state, job.name), version, job.batch, waits))
        self._jobs = []

    def in_order(self) -> list[_Ready]:
        """What is ready, none before the jobs of a batch that it waits for: it would take some for all."""
        wanted: dict[str, set[str]] = defaultdict(set)
        for one in self.ready:
            if one.batch is not None:
                wanted[one.batch].update(one.waits)
        sorter = TopologicalSorter(wanted)
        with suppress(CycleError):
            # Those of a circle never run.
            sorter.prepare()
        ranks: dict[str, int] = {}
        while batches := sorter.get_ready():
            ranks.update(dict.fromkeys(batches, len(ranks)))
            sorter.done(*batches)
        last = len(ranks)
        return sorted(self.ready, key=lambda one: max((ranks.get(it, last) for it in one.waits), default=-1))

    def prepared(self, some: Sequence[_Ready]) -> list[Prepared]:
        """These, as they are admitted: with the ids of one another under which they come in.

        Raises:
            OSError: they cannot be read or written.
        """
        found = [_prepared(one) for one in some]
        if not self._renamed:
            return found
        changed = [(one, job) for one in found if (job := linked_anew(one.job, self._id_of)) is not one.job]
        written = self._store.spool.prepare([job for _, job in changed])
        for (one, job), (path, version) in zip(changed, written):
            move_in(path, one.path)
            one.job, one.version = job, version
        return found

    def _id_of(self, job_id: str) -> str:
        """Under which a job comes in that the lines call so."""
        return self._names.get(job_id) or self._renamed.get(fold(job_id), job_id)

    def clear(self) -> None:
        """Remove what has not come in."""
        for path in (*(one.path for one in self.ready), *self.logs.values()):
            with suppress(OSError):
                system.remove(path)


def import_jobs(store: Store, file: IO[bytes], *, skip_existing: bool, rename: bool, now: float) -> Imported:
    """See `House.import_`."""
    if store.index.is_empty():
        # Deleted, perhaps: it must know which ids differ from a new one in case only.
        reconcile_all(store, now, spare=True)
    workers = store.spool.workers()
    is_taken = partial(store.is_taken, workers=workers)

    def choose(job: Job, folds: Collection[str]) -> Optional[str]:
        if rename:
            return next_free(job.name, lambda name: fold(name) in folds or is_taken(name))
        if fold(job.name) in folds:
            raise Conflict(f"the id {job.name!r} is given twice")
        if skip_existing and is_taken(job.name):
            return None
        refuse_known(store, job.name, workers)
        return job.name

    lines = _Lines(store, choose)
    try:
        # Written and flushed outside of the lock: workers go on claiming meanwhile.
        lines.take(file)
        return _admit_all(store, lines, now)
    except OSError as error:
        raise SpoolUnusable(f"cannot write to {store.spool.root}: {error.strerror or error}") from error
    finally:
        lines.clear()


def _texts(file: IO[bytes]) -> Iterator[str]:
    """The lines. PowerShell 5.1 writes UTF-16 into a file."""
    begin = file.tell()
    mark = file.read(3)
    if mark[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        file.seek(begin)
        # Not splitlines: JSON allows what Unicode calls a line break within a string.
        wrapper = io.TextIOWrapper(file, "utf-16", newline="\n")
        try:
            yield from wrapper
        finally:
            wrapper.detach()
        return
    file.seek(begin + (len(mark) if mark == codecs.BOM_UTF8 else 0))
    for line in file:
        yield line.decode()


def _admit_all(store: Store, lines: _Lines, now: float) -> Imported:
    left_out: list[str] = []
    ready = lines.in_order()
    for begin in range(0, len(ready), AT_ONCE):
        some = lines.prepared(ready[begin : begin + AT_ONCE])
        logs = {one.job.name: lines.logs[one.job.name] for one in some if one.job.name in lines.logs}
        try:
            with store.naming():
                left_out += _admit(store, some, logs, now)
        except (Conflict, SpoolUnusable) as error:
            if not begin:
                raise
            hint = f"{begin} are in: import it again with --skip-existing for the rest"
            raise type(error)(error.message, hint=hint) from error
    return Imported([one.place for one in lines.ready], lines.skipped, left_out)


def _prepared(ready: _Ready) -> Prepared:
    data, _ = system.read_file(ready.path, LARGEST)
    prepared = Prepared(ready.path, decode_job(data), ready.version)
    prepared.place = ready.place
    return prepared


def _admit(store: Store, some: list[Prepared], logs: Mapping[str, str], now: float) -> list[str]:
    """Move these jobs in, and their logs before them; the ids of those whose logs are left out."""
    moved: list[str] = []
    left_out = []
    try:
        for job_id, path in logs.items():
            target = store.spool.log_path(job_id)
            if not os.path.lexists(target):
                system.replace(path, target)
                moved.append(target)
            elif not _is_same(path, target):
                left_out.append(job_id)
        if moved:
            system.sync_folder(os.path.join(store.spool.root, layout.LOGS))
        admit(store, some, now)
    except BaseException:
        for target in moved:
            with suppress(OSError):
                system.remove(target)
        raise
    return left_out


def _is_same(path: str, other: str) -> bool:
    """Whether both have one content: it came in before, and its job did not."""
    try:
        data, _ = system.read_file(path, LARGEST)
        return system.read_file(other, len(data))[0] == data
    except OSError:
        return False
