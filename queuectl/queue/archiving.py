"""Jobs that have ended are put away: first they lie in a zip file that lasts, then they are deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Optional

from queuectl import system
from queuectl.queue.ended import Edge, Picked, delete, keeping_house, pick, taken
from queuectl.queue.store import Store
from queuectl.spool.archives import Archives, Member, month_of
from queuectl.state import State

AT_ONCE = 100_000
"""Jobs that are put into one zip file at once: each time all that is in it is copied."""


class Archived(NamedTuple):
    """How many jobs were put away, what they took in the spool, the paths of the zip files they are in."""

    jobs: int
    size: int
    files: list[str]


def archive(store: Store, state: State, edge: Edge, folder: Optional[str]) -> Archived:
    """See `House.archive`."""
    count, size, files = 0, 0, dict[str, None]()
    with keeping_house(store):
        chosen = _chosen(store, state, edge)
        while some := list(islice(chosen, AT_ONCE)):
            archives = Archives(store.spool, folder)
            for month, picked in sorted(_by_month(some).items()):
                path = archives.add(month, _members(store, picked))
                gone = delete(store, picked)
                count += len(gone)
                size += sum(one.size for one in gone)
                files[path] = None
        store.spool.sync(state)
    return Archived(count, size, list(files))


def _chosen(store: Store, state: State, edge: Edge) -> Iterator[Picked]:
    limit = store.config.max_job_bytes
    for row in taken(store, state, edge):
        if picked := pick(store, state, row, limit):
            yield picked


def _by_month(picked: Sequence[Picked]) -> dict[str, list[Picked]]:
    months = defaultdict(list)
    for one in picked:
        months[month_of(one.ended)].append(one)
    return months


def _members(store: Store, picked: list[Picked]) -> Iterator[Member]:
    """These as they are put away; who has changed since is no more among them, and is not deleted."""
    limit = store.config.max_job_bytes
    for one in picked:
        try:
            data, found = store.spool.read_bytes(one.place, limit)
        except FileNotFoundError:
            continue
        # Else it is another version, which `delete` leaves alone.
        if system.file_stamp(found) == one.version:
            yield Member(one.place.state, one.place.job_id, data, one.ended)
