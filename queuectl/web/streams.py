"""Server-sent events: that something has changed, and what a job prints. The page fetches the rest itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from queuectl.web.site import Site, site_of
from queuectl.web.tail import Tail

_PING = 15.0
"""Seconds after which something is sent anyway: else nobody notices that the other side has gone."""
_LOG_PAUSE = 0.4
"""Seconds between two looks at a log."""
_RETRY_MS = 1000


def changes(request: Request) -> Response:
    """Tells of each change, from the version on that the page shows."""
    return _stream(_changes(site_of(request), request.query_params.get("version", "")))


async def job(request: Request) -> Response:
    """Tells what a job prints."""
    site, job_id = site_of(request), request.path_params["job_id"]
    place = await run_in_threadpool(site.call, site.queue.locate, job_id)
    return _stream(_log(site, place.job_id))


def _stream(events: AsyncIterator[str]) -> Response:
    return StreamingResponse(events, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


async def _changes(site: Site, shown: str) -> AsyncIterator[str]:
    watcher = site.watcher
    bell = watcher.subscribe()
    try:
        yield f"retry: {_RETRY_MS}\n\n"
        while not watcher.has_ended:
            version = watcher.version
            if version not in (None, shown):
                shown = version or ""
                yield _event("changed", shown)
            try:
                await asyncio.wait_for(bell.wait(), _PING)
            except asyncio.TimeoutError:
                yield ": still here\n\n"
            bell.clear()
    finally:
        watcher.unsubscribe(bell)


async def _log(site: Site, job_id: str) -> AsyncIterator[str]:
    tail, silent = Tail(site.queue, job_id), 0.0
    yield f"retry: {_RETRY_MS}\n\n"
    while not site.watcher.has_ended:
        news = await run_in_threadpool(site.call, tail.news)
        if news is not None:
            silent = 0.0
            yield _event("log", news)
        elif silent >= _PING:
            silent = 0.0
            yield ": still here\n\n"
        await asyncio.sleep(_LOG_PAUSE)
        silent += _LOG_PAUSE
