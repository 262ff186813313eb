"""The application: each address and what answers it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Callable

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.status import HTTP_404_NOT_FOUND

from queuectl.errors import (
    Busy,
    InvalidInput,
    NoSuchGroup,
    NoSuchJob,
    NoSuchSchedule,
    QueueError,
    SpoolUnusable,
)
from queuectl.queue import Queue
from queuectl.web import acting, enqueuing, health, pages, streams
from queuectl.web.acting import action
from queuectl.web.door import Door, Keeper
from queuectl.web.forms import fields_of, text_of
from queuectl.web.rendering import STATIC, make_environment
from queuectl.web.sharing import Shared, shared
from queuectl.web.site import Site, counted, site_of

_THREADS = 8
"""That use the queue at once: each has a connection to the index."""
_CODES: tuple[tuple[type[QueueError], int], ...] = (
    (NoSuchJob, 404),
    (NoSuchGroup, 404),
    (NoSuchSchedule, 404),
    (InvalidInput, 400),
    (SpoolUnusable, 503),
    (Busy, 503),
)


def make_app(queue: Queue, keeper: Keeper) -> Starlette:
    """What shows this queue to those whom the keeper lets in."""
    site = Site(queue, keeper, make_environment())

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = _THREADS
        site.watcher.start(asyncio.get_running_loop())
        yield
        site.watcher.end()

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Door, keeper=keeper), Middleware(GZipMiddleware, minimum_size=1000)],
        exception_handlers={QueueError: _failed, HTTPException: _refused},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.site, app.state.shared = site, Shared()
    return app


def _routes() -> list[Any]:
    return [
        Route("/", _page(pages.overview)),
        Route("/jobs", _page(pages.jobs)),
        Route("/jobs/{job_id}", counted(pages.job)),
        Route("/jobs/{job_id}/log", counted(pages.job_log)),
        Route("/jobs/{job_id}/events", streams.job),
        Route("/jobs/{job_id}/priority", action(acting.priority), methods=["POST"]),
        Route("/jobs/{job_id}/{verb}", action(acting.verb), methods=["POST"]),
        Route("/dead", _page(pages.dead)),
        Route("/dead", action(acting.dead_letters), methods=["POST"]),
        Route("/schedules", _page(pages.schedules)),
        Route("/schedules/{name}/{verb}", action(acting.schedule), methods=["POST"]),
        Route("/groups", _page(pages.groups)),
        Route("/groups/{name}/{verb}", action(acting.group), methods=["POST"]),
        Route("/settings", _page(pages.settings)),
        Route("/settings/{name}", action(acting.setting), methods=["POST"]),
        Route("/enqueue", counted(enqueuing.form)),
        Route("/enqueue", action(enqueuing.add), methods=["POST"]),
        Route("/enqueue/check", enqueuing.check, methods=["POST"]),
        Route("/pause", action(acting.pause), methods=["POST"]),
        Route("/resume", action(acting.resume), methods=["POST"]),
        Route("/events", streams.changes),
        Route("/metrics", counted(health.metrics)),
        Route("/healthz", counted(health.health)),
        Route("/login", _login_form),
        Route("/login", _login, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _page(handler: Callable[[Request], Response]) -> Callable[[Request], Response]:
    return counted(shared(handler))


def _login_form(request: Request) -> Response:
    site = site_of(request)
    return site.page(request, "login.html", {"wrong": False, "has_password": site.rules.password is not None})


async def _login(request: Request) -> Response:
    site = site_of(request)
    form = await fields_of(request)
    if not await site.keeper.may_enter(text_of(form, "key").strip()):
        values = {"wrong": True, "has_password": site.rules.password is not None}
        return site.page(request, "login.html", values, status_code=403)
    response = RedirectResponse("/", 303)
    site.keeper.let_in(response, request)
    return response


def _failed(request: Request, error: Exception) -> Response:
    """What the queue refuses, as a page."""
    assert isinstance(error, QueueError)
    code = next((code for kind, code in _CODES if isinstance(error, kind)), 500)
    return _error_page(request, code, error.message, error.hint)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = "There is no such page." if error.status_code == HTTP_404_NOT_FOUND else error.detail
    response = _error_page(request, error.status_code, text, None)
    response.headers.update(error.headers or {})
    return response


def _error_page(request: Request, code: int, text: str, hint: object) -> Response:
    return site_of(request).page(request, "error.html", {"text": text, "hint": hint}, status_code=code)
