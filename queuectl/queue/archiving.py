"""Jobs that have ended are put away: first they lie in a zip file that lasts, then they are deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple, Optional

from queuectl import system
from queuectl.errors import InvalidInput
from queuectl.index import EndedRow
from queuectl.queue.ended import Edge, Picked, chosen_of, delete, forget, is_there, keeping_house
from queuectl.queue.store import Store
from queuectl.spool.archives import Archives, Member, month_of
from queuectl.state import State

AT_ONCE = 100_000
"""Jobs that are put into one zip file at once: each time all that is in it is copied."""


class Archived(NamedTuple):
    """How many jobs were put away, what they took in the spool, the paths of the zip files they are in; how
    many are `left` that could not be read or deleted just now.
    """

    jobs: int
    size: int
    files: list[str]
    left: int


def archive(store: Store, state: State, edge: Edge, folder: Optional[str]) -> Archived:
    """See `House.archive`."""
    left = 0
    count, size, files, held = 0, 0, dict[str, None](), list[EndedRow]()
    with keeping_house(store):
        chosen = chosen_of(store, state, edge, held)
        while some := list(islice(chosen, AT_ONCE)):
            archives = Archives(store.spool, folder)
            for month, picked in sorted(_by_month(some).items()):
                gone, path = _put_away(store, archives, month, picked)
                forget(store, state, gone)
                count += len(gone)
                size += sum(one.size for one in gone)
                if gone:
                    files[path] = None
                left += sum(is_there(store, one) for one in picked)
        store.spool.sync(state)
    return Archived(count, size, list(files), left + len(held))


def _by_month(picked: Sequence[Picked]) -> dict[str, list[Picked]]:
    months = defaultdict(list)
    for one in picked:
        months[month_of(one.ended)].append(one)
    return months


def _put_away(store: Store, archives: Archives, month: str, picked: list[Picked]) -> tuple[list[Picked], str]:
    """Those of these that were deleted, and the path of the zip file that they are in."""
    unread: set[str] = set()
    path, left = archives.add(month, _members(store, picked, unread))
    unread |= left
    return delete(store, [one for one in picked if one.place.job_id not in unread]), path


def _members(store: Store, picked: list[Picked], unread: set[str]) -> Iterator[Member]:
    """These as they are put away; who has changed since is no more among them, and is not deleted. The ids of
    those that cannot be read, now or any more, go to `unread`.
    """
    limit = store.config.max_job_bytes
    for one in picked:
        try:
            data, found = store.spool.read_bytes(one.place, limit)
        except (OSError, InvalidInput):
            unread.add(one.place.job_id)
            continue
        # Else it is another version, which `delete` leaves alone.
        if system.file_stamp(found) == one.version:
            yield Member(one.place.state, one.place.job_id, data, one.ended)
