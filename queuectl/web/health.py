"""For programs: what Prometheus scrapes, and whether all is well."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from queuectl.errors import QueueError
from queuectl.metrics import exposition
from queuectl.web.site import site_of

_WELL, _ILL = 200, 503


def metrics(request: Request) -> Response:
    """In the format that is asked for."""
    found = exposition(site_of(request).queue, request.headers.get("accept"))
    return Response(found.data, headers={"Content-Type": found.content_type})


def health(request: Request) -> Response:
    """Well only while workers live, and no job that may run waits too long."""
    site = site_of(request)
    try:
        status = site.watcher.latest().status
        waits = site.queue.numbers.waits()
    except QueueError as error:
        return JSONResponse({"ok": False, "why": [str(error)]}, _ILL)
    longest = site.rules.longest_wait
    why = ["no worker lives"] if not status.workers else []
    why += ["the queue is paused"] if status.paused else []
    if waits.latency > longest:
        why.append(f"the next job has waited for {waits.latency:.0f} s, longer than {longest:g} s")
    found = {"workers": len(status.workers), "waiting_seconds": round(waits.latency, 3)}
    return JSONResponse({"ok": not why, "why": why, **found}, _ILL if why else _WELL)
