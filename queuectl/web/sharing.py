"""A page that several browsers show is made once for each change, however many they are."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import wraps
from typing import Callable, Optional

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from queuectl import system
from queuectl.web.site import Site, site_of

_MOST = 64
"""Pages that are kept."""

_TIMES = 10
"""As long as a page takes to be made it is left as it is: a search among a million jobs would take a core."""
_WELL = 200

Handler = Callable[[Request], Response]


class _Kept:
    """A page as it was made last, and of which version of the queue."""

    def __init__(self) -> None:
        self.making = threading.Lock()
        self.version: Optional[int] = None
        self.body = b""
        self.lasts = 0.0
        """Until when, by the monotonic clock, it is left as it is."""


class Shared:
    """The pages of one server."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def forget(self) -> None:
        """Make all of them anew: somebody has done something here, and is to see it."""
        with self._guard:
            self._kept.clear()

    def of(self, address: str) -> _Kept:
        """What is kept of this page."""
        with self._guard:
            kept = self._kept.pop(address, None) or _Kept()
            self._kept[address] = kept
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)
            return kept


def shared(handler: Handler) -> Handler:
    """Hand out the same page until something changes, and the one before while it is made."""

    @wraps(handler)
    def handle(request: Request) -> Response:
        site: Site = site_of(request)
        if site.has_said(request):
            # Somebody is told there what they have done.
            return handler(request)
        kept = request.app.state.shared.of(f"{request.url.path}?{request.url.query}")
        version = site.watcher.latest().version
        # Whoever has got an older one comes again, until it is that of the last change: see live.js.
        if not kept.making.acquire(blocking=not kept.body):
            return HTMLResponse(kept.body)
        try:
            began = system.monotonic()
            if kept.version == version or (kept.body and began < kept.lasts):
                return HTMLResponse(kept.body)
            response = handler(request)
            if response.status_code == _WELL:
                kept.version, kept.body = version, bytes(response.body)
                kept.lasts = system.monotonic() + _TIMES * (system.monotonic() - began)
            return response
        finally:
            kept.making.release()

    return handle
