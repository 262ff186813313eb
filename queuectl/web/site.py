"""What all pages share: the queue, who watches it, and how an answer is made."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, Callable, Optional, TypeVar

from jinja2 import Environment
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from queuectl.queue import Queue
from queuectl.web.door import Keeper
from queuectl.web.keys import derived, is_same
from queuectl.web.watching import Look, Watcher

if TYPE_CHECKING:
    from typing_extensions import ParamSpec

    P = ParamSpec("P")
T = TypeVar("T")
_MOST_SAID = 400
"""Characters, each of up to six bytes: browsers keep cookies of 4 KiB."""
_SAID_SECONDS = 60
_LIVE = "x-queuectl-live"
"""Sent with what a page fetches to follow the queue. It may do so while its browser is already on its way to
the next page: what is to be said is for that one.
"""


class Site:
    """One a server."""

    def __init__(self, queue: Queue, keeper: Keeper, environment: Environment) -> None:
        self.queue, self.keeper, self.rules = queue, keeper, keeper.rules
        self.watcher = Watcher(queue)
        self._environment = environment
        self._using = 0
        self._idle = threading.Condition()

    def call(self, action: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """Do something with the queue, in a thread; `rest` waits for it."""
        with self._idle:
            self._using += 1
        try:
            return action(*args, **options)
        finally:
            with self._idle:
                self._using -= 1
                self._idle.notify_all()

    def rest(self, seconds: float) -> None:
        """Wait until nobody uses the queue: to close what another thread is using brings Python down."""
        self.watcher.join(seconds)
        with self._idle:
            self._idle.wait_for(lambda: not self._using, seconds)

    def page(
        self,
        request: Request,
        template: str,
        values: Mapping[str, Any],
        *,
        look: Optional[Look] = None,
        status_code: int = 200,
    ) -> Response:
        """A page, with what was to be said on the next one."""
        said = self._said(request)
        text = self._environment.get_template(template).render(
            values,
            look=look,
            status=None if look is None else look.status,
            path=request.url.path,
            here=request.url.path + (f"?{request.url.query}" if request.url.query else ""),
            form_token=self.rules.keys.form,
            read_only=self.rules.read_only,
            said=said,
        )
        response = HTMLResponse(text, status_code)
        if said is not None:
            response.delete_cookie(self._said_name)
        return response

    def go_to(self, path: str, text: Optional[str] = None, *, kind: str = "done") -> Response:
        """To another page, that says this once; `kind` is done or error."""
        response = RedirectResponse(path, 303)
        if text is not None:
            shown = text if len(text) <= _MOST_SAID else text[: _MOST_SAID - 1] + "…"
            value = urlsafe_b64encode(json.dumps([kind, shown]).encode()).decode()
            signed = f"{value}.{self._signature(value)}"
            response.set_cookie(
                self._said_name, signed, max_age=_SAID_SECONDS, httponly=True, samesite="strict"
            )
        return response

    def has_said(self, request: Request) -> bool:
        """Whether something is to be said on the next page."""
        return self._said_name in request.cookies and _LIVE not in request.headers

    @property
    def _said_name(self) -> str:
        return f"{self.rules.keys.cookie_name}-said"

    def _signature(self, value: str) -> str:
        # Pages on other ports of this machine can write cookies, too.
        return derived(self.rules.keys.form.encode(), value)

    def _said(self, request: Request) -> Optional[tuple[str, str]]:
        if not self.has_said(request):
            return None
        value, _, signature = request.cookies.get(self._said_name, "").rpartition(".")
        if not value or not is_same(signature, self._signature(value)):
            return None
        kind, text = json.loads(urlsafe_b64decode(value))
        return ("error" if kind == "error" else "done", str(text))


def site_of(request: Request) -> Site:
    """That of the application which answers."""
    site: Site = request.app.state.site
    return site


def counted(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """A handler that is called in a thread, as one that uses the queue."""

    @wraps(handler)
    def handle(request: Request) -> Response:
        return site_of(request).call(handler, request)

    return handle
