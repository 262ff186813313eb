"""Waiting for jobs in an event loop: any number of coroutines wait, one thread looks for all."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Sequence
from typing import Any, Optional

from queuectl.queue.acting import Acting
from queuectl.queue.waiting import Steps, Watch


class _Lookers:
    """Those that wait for jobs of one queue in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[Watch, asyncio.Future[None]] = {}
        self._task: Optional[asyncio.Task[None]] = None

    async def look(self, queue: Acting, watch: Watch) -> None:
        """Have a look for this one with the next look for the others. Raises as `Watch.look`."""
        loop = asyncio.get_running_loop()
        future = self._waiting[watch] = loop.create_future()
        if self._task is None or self._task.done():
            self._task = loop.create_task(self._look_for_all(queue))
        await future

    async def _look_for_all(self, queue: Acting) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, {}
            told = await self._looked(queue, list(waiting))
            for future, error in zip(waiting.values(), told):
                # RACE: whoever waited may have been cancelled meanwhile.
                if not future.done():
                    future.set_result(None) if error is None else future.set_exception(error)

    @staticmethod
    async def _looked(queue: Acting, watches: Sequence[Watch]) -> list[Optional[BaseException]]:
        try:
            return await asyncio.to_thread(_look, queue, watches)
        except BaseException as error:  # noqa: BLE001 (the loop ends, for example: they must not wait for ever)
            return [error] * len(watches)


def _look(queue: Acting, watches: Sequence[Watch]) -> list[Optional[BaseException]]:
    told: list[Optional[BaseException]] = []
    for watch in watches:
        try:
            queue.look(watch)
            told.append(None)
        except Exception as error:  # noqa: BLE001 (raised where it is waited for)
            told.append(error)
    return told


_lookers: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Lookers]] = (
    weakref.WeakKeyDictionary()
)


async def awaited(queue: Acting, job_ids: Sequence[str], timeout: Optional[float]) -> list[dict[str, Any]]:
    """See `Programs.wait_async`."""
    of_loop = _lookers.setdefault(asyncio.get_running_loop(), {})
    lookers = of_loop.setdefault(id(queue), _Lookers())
    steps = Steps(await asyncio.to_thread(queue.run_here, timeout))
    watch = await asyncio.to_thread(queue.watch, job_ids)
    while True:
        await lookers.look(queue, watch)
        if not watch.left:
            return watch.rows
        await asyncio.sleep(steps.next(watch.left))
