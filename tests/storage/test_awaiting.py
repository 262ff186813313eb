"""Waiting in an event loop: whoever waits is told, whatever becomes of the look for all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from queuectl.queue import awaiting
from queuectl.queue.awaiting import awaited
from tests.support.spools import Desk

DEADLINE = 30.0


def test_where_nobody_can_look_all_that_wait_are_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop's threads have ended, for example: it must not look as if the jobs had no end."""
    real = asyncio.to_thread

    async def to_thread(action: Any, *args: Any) -> Any:
        if action is awaiting._look:
            raise RuntimeError("cannot schedule new futures after shutdown")
        return await real(action, *args)

    async def wait_for_both() -> list[Any]:
        waits = [asyncio.ensure_future(awaited(desk.queue, [one], None)) for one in ("a", "b")]
        return await asyncio.wait_for(asyncio.gather(*waits, return_exceptions=True), DEADLINE)

    desk.add("a", "b")
    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    errors = asyncio.run(wait_for_both())
    assert [str(error) for error in errors] == ["cannot schedule new futures after shutdown"] * 2


def test_one_that_is_cancelled_leaves_the_others_waiting(desk: Desk) -> None:
    async def wait() -> Any:
        first = asyncio.ensure_future(awaited(desk.queue, ["a"], None))
        other = asyncio.ensure_future(awaited(desk.queue, ["b"], None))
        await asyncio.sleep(0)
        first.cancel()
        desk.queue.cancel(["b"])
        return await asyncio.wait_for(other, DEADLINE)

    desk.add("a", "b")
    (row,) = asyncio.run(wait())
    assert (row["id"], row["state"]) == ("b", "dead")
