"""Jobs a page at a time, as plain data."""

from typing import Any, NamedTuple, Optional

from queuectl.index.filters import Filter
from queuectl.index.paging import Mark
from queuectl.queue.report import job_rows
from queuectl.queue.store import Store


class JobsPage(NamedTuple):
    """Some jobs, as `Queue.jobs` tells them; `following` is where the next begin, None if there are none."""

    jobs: list[dict[str, Any]]
    following: Optional[Mark]


def page(store: Store, where: Filter, limit: int, behind: Optional[Mark], now: float) -> JobsPage:
    """See `Queue.page`."""
    # Of a program that goes on while somebody deletes the index.
    store.index.follow()
    found = store.index.page(where, limit, behind)
    return JobsPage(job_rows(store, found.entries, now), found.following)
