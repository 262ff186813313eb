"""The end of a server: what its threads still do with the queue is waited for."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from queuectl import Queue
from tests.support.waiting import wait_until
from tests.support.web import Serving


def test_a_page_that_is_being_made_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To close a connection that another thread is using brings Python down."""
    begun, go_on, ended = threading.Event(), threading.Event(), threading.Event()
    real = Queue.page

    def slow(queue: Queue, *args: Any, **options: Any) -> Any:
        begun.set()
        # Longer than the server waits for requests that are under way.
        go_on.wait(4)
        try:
            return real(queue, *args, **options)
        finally:
            ended.set()

    monkeypatch.setattr(Queue, "page", slow)

    def ask(site: Serving) -> None:
        # It may be told nothing any more.
        with suppress(Exception):
            site.get("/jobs")

    with Serving(tmp_path / "spool") as site:
        asking = threading.Thread(target=ask, args=(site,))
        asking.start()
        assert begun.wait(10)
    assert ended.is_set()
    asking.join()


def test_nobody_looks_any_more(tmp_path: Path) -> None:
    before = threading.active_count()
    with Serving(tmp_path / "spool") as site:
        site.get("/")
        names = {thread.name for thread in threading.enumerate()}
        assert {"folders", "glances"} <= names
    assert not {"folders", "glances"} & {thread.name for thread in threading.enumerate()}
    wait_until(lambda: threading.active_count() <= before, "no thread is left", 15.0)
