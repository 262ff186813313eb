"""Who gets in: requests by a foreign name, without the key, or from another page are turned away.

- A page of another site that has its name point to this machine (DNS rebinding) sends its own name as Host.
- Whoever else uses this machine reaches the port, and has no key.
- A page of another site, or of another port, cannot read ours, so it knows no form's token (OWASP:
  synchronizer token), and browsers say where a request comes from (Sec-Fetch-Site, Origin).
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Sequence
from secrets import token_urlsafe
from typing import NamedTuple, Optional
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.status import HTTP_200_OK
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from queuectl.web.keys import Keys, is_same

LOCAL_NAMES = ("127.0.0.1", "localhost", "::1")
PARAMETER = "token"
"""In the address that is printed; it is in no address after the first visit."""
_LOGIN = "/login"
_STATIC = "/static/"
_OPEN = (_STATIC, _LOGIN)
_MEASURED = ("/metrics", "/healthz")
_SAFE = ("GET", "HEAD")
_PAUSE = 1.0
"""Seconds that a wrong key costs, one after the other."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Not no-referrer: browsers would leave out whence a form is sent.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Rules(NamedTuple):
    """Who may come in."""

    keys: Keys
    names: Sequence[str]
    """Those by which this server may be called."""
    password: Optional[str] = None
    read_only: bool = False
    measured_openly: bool = True
    """Whether /metrics and /healthz need no key."""
    longest_wait: float = 300.0
    """Seconds for which a job that may run can wait while all is well."""


class Keeper:
    """Knows who may come in."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._tickets: set[str] = set()
        self._guessing: Optional[asyncio.Lock] = None

    def ticket(self) -> str:
        """A key that lets one browser in, once: others on this machine see what that is started with."""
        ticket = token_urlsafe(16)
        self._tickets.add(ticket)
        return ticket

    def is_known(self, request: HTTPConnection) -> bool:
        """Whether it has the cookie, or the key in its headers, as programs give it."""
        keys = self.rules.keys
        has_cookie = is_same(request.cookies.get(keys.cookie_name, ""), keys.cookie)
        return has_cookie or self._is_key(given_key(request.headers))

    def _is_key(self, given: Optional[str]) -> bool:
        if not given:
            return False
        password = self.rules.password
        return is_same(given, self.rules.keys.token) or (password is not None and is_same(given, password))

    async def may_enter(self, given: Optional[str]) -> bool:
        """Whether this is the key, or the password; a wrong one takes a while."""
        if self._is_key(given):
            return True
        if given in self._tickets:
            self._tickets.discard(given or "")
            return True
        if self._guessing is None:
            # In the loop: until Python 3.10 it belongs to the one that it is made in.
            self._guessing = asyncio.Lock()
        async with self._guessing:
            await asyncio.sleep(_PAUSE)
        return False

    def let_in(self, response: Response, request: Request) -> None:
        """Give this browser the cookie."""
        keys = self.rules.keys
        is_secret = request.url.scheme == "https"
        # Not strict: whoever comes by a link from elsewhere would have to show the key again.
        response.set_cookie(keys.cookie_name, keys.cookie, httponly=True, samesite="lax", secure=is_secret)


class Door:
    """Around the application."""

    def __init__(self, app: ASGIApp, keeper: Keeper) -> None:
        self._app, self._keeper, self._rules = app, keeper, keeper.rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                # The address of a file of ours is another one when it is changed.
                kept = scope["path"].startswith(_STATIC) and message["status"] == HTTP_200_OK
                headers["Cache-Control"] = "public, max-age=31536000, immutable" if kept else "no-store"
            await send(message)

        refusal = await self._refusal(Request(scope, receive))
        await (refusal or self._app)(scope, receive, send_guarded)

    async def _refusal(self, request: Request) -> Optional[Response]:
        """The answer to one that is not let in."""
        if _name_in(request.headers.get("host", "")) not in self._rules.names:
            return _refused("This is not a name of this server (queuectl web --allow-host NAME).", 421)
        if request.method not in _SAFE:
            if not _is_from_here(request):
                return _refused("This request comes from another site.", 403)
            if self._rules.read_only and request.url.path != _LOGIN:
                return _refused("This is queuectl web --read-only: nothing can be changed.", 403)
        if PARAMETER in request.query_params and request.method in _SAFE:
            return await self._first_visit(request)
        if self._keeper.is_known(request) or self._is_open(request):
            return None
        return await self._stranger(request)

    async def _stranger(self, request: Request) -> Response:
        if (given := given_key(request.headers)) is not None:
            await self._keeper.may_enter(given)
        if request.method in _SAFE and "text/html" in request.headers.get("accept", ""):
            return RedirectResponse(_LOGIN, 303)
        refusal = _refused("Open the address that queuectl web has printed.", 401)
        if request.url.path in _MEASURED:
            # Of a page a browser would ask for a name and a password.
            refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal

    def _is_open(self, request: Request) -> bool:
        path = request.url.path
        return path.startswith(_OPEN) or (path in _MEASURED and self._rules.measured_openly)

    async def _first_visit(self, request: Request) -> Response:
        """To the same address without the key, with the cookie."""
        left = [(name, value) for name, value in parse_qsl(request.url.query, True) if name != PARAMETER]
        response = RedirectResponse(_local(request.url.path) + (f"?{urlencode(left)}" if left else ""), 303)
        if await self._keeper.may_enter(request.query_params[PARAMETER]):
            self._keeper.let_in(response, request)
        return response


def _refused(text: str, code: int) -> Response:
    return PlainTextResponse(f"{text}\n", code)


def _local(path: str) -> str:
    # "//elsewhere" would lead there.
    return "/" + path.lstrip("/\\")


def _name_in(host: str) -> str:
    """The name in a Host header, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].rstrip(".").lower()


def _is_from_here(request: Request) -> bool:
    """Whether a browser says that a page of ours sends this; programs say nothing."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        return False
    # Not by http or https: a proxy that speaks the one to browsers may speak the other to us.
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def given_key(headers: Headers) -> Optional[str]:
    """The key in an Authorization header: Bearer, or the password of Basic."""
    kind, _, value = headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        return value.strip()
    if kind.lower() == "basic":
        try:
            return b64decode(value, validate=True).decode().partition(":")[2]
        except ValueError:
            return None
    return None
