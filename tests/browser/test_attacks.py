"""What pages of others try in a browser that was let in; each attack works where the door stands open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Page

from queuectl.web import acting, door
from tests.browser.conftest import Tab
from tests.support.waiting import wait_until
from tests.support.web import Serving

_FORM = """<form method="post" action="{base}/pause" id="form">
<input name="form_token" value="{guess}"></form>
<script>document.getElementById("form").submit()</script>"""
_FETCH = """<script>
fetch("{base}/pause", {{method: "POST", mode: "no-cors", credentials: "include",
  headers: {{"Content-Type": "application/x-www-form-urlencoded"}}, body: "form_token={guess}"}})
  .finally(() => {{ document.title = "done"; }});
</script>"""
_READ = """<script>
window.read = "";
const keep = (text) => {{ window.read += text; }};
const get = (options) => fetch("{base}/jobs", {{credentials: "include", ...options}});
Promise.allSettled([
  get({{}}).then((answer) => answer.text()).then(keep),
  get({{mode: "no-cors"}}).then((answer) => answer.text()).then(keep),
  new Promise((done) => {{
    const stream = new EventSource("{base}/jobs/a/events", {{withCredentials: true}});
    stream.addEventListener("log", (event) => {{ keep(event.data); done(); }});
    stream.onerror = done;
  }}),
]).then(() => {{ document.title = "done"; }});
</script>"""
_INTO_A_PAGE = """
const script = document.createElement("script");
script.textContent = "window.ran = 1";
const far = document.createElement("script");
far.src = "http://evil.example/x.js";
document.body.append(script, far);
document.body.insertAdjacentHTML("beforeend", '<img src=x onerror="window.ran = 1">');
"""
_FRAME = '<iframe src="{base}/jobs" id="frame"></iframe>'


class Attacker(NamedTuple):
    """Another site, on another port of this machine."""

    base: str
    pages: dict[str, str]

    def put(self, page: str, site: Serving, host: str = "127.0.0.1") -> str:
        """Its only page; the address by which a victim is led there."""
        self.pages["/"] = page.format(base=f"http://127.0.0.1:{site.port}", guess="0" * 32)
        return self.base.replace("127.0.0.1", host)


@pytest.fixture
def attacker() -> Iterator[Attacker]:
    pages: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = pages.get(self.path, "").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Attacker(f"http://127.0.0.1:{server.server_address[1]}", pages)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def victim(tab: Tab, site: Serving) -> Page:
    """A browser that was let in, and is led elsewhere; what it complains of there is none of ours."""
    site.queue.enqueue({"id": "a", "command": "echo secret-of-the-job"})
    (site.made_root / "logs" / "a.log").write_text("secret output")
    page = tab.go("/jobs")
    assert "secret-of-the-job" in page.content()
    tab.errors = []
    page.on("close", lambda _: tab.errors.clear())
    return page


@pytest.fixture(autouse=True)
def elsewhere(tab: Tab) -> Iterator[None]:
    yield
    # A browser complains of what it was kept from.
    tab.errors.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
@pytest.mark.parametrize("page", [_FORM, _FETCH], ids=["form", "fetch"])
def test_another_site_changes_nothing(
    victim: Page, attacker: Attacker, site: Serving, page: str, host: str
) -> None:
    victim.goto(attacker.put(page, site, host))
    if page is _FORM:
        victim.wait_for_url(f"{site.base}/pause")
        assert "another site" in victim.content()
    else:
        victim.wait_for_function("document.title === 'done'")
    assert not site.queue.paused


@pytest.mark.parametrize("page", [_FORM, _FETCH], ids=["form", "fetch"])
def test_where_the_door_stands_open_it_does(
    victim: Page, attacker: Attacker, site: Serving, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control run: by these pages a server without the checks is changed."""
    monkeypatch.setattr(door, "_is_from_here", lambda request: True)
    monkeypatch.setattr(acting, "is_same", lambda given, wanted: True)
    victim.goto(attacker.put(page, site))
    wait_until(lambda: site.queue.paused, "the queue is paused by another site")


def test_either_check_alone_stops_it(
    victim: Page, attacker: Attacker, site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(door, "_is_from_here", lambda request: True)
        victim.goto(attacker.put(_FORM, site))
        victim.wait_for_url(f"{site.base}/pause")
    with monkeypatch.context() as patch:
        patch.setattr(acting, "is_same", lambda given, wanted: True)
        victim.goto(attacker.put(_FORM, site))
        victim.wait_for_url(f"{site.base}/pause")
    assert not site.queue.paused


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "evil.example"])
def test_another_site_reads_nothing(victim: Page, attacker: Attacker, site: Serving, host: str) -> None:
    victim.goto(attacker.put(_READ, site, host))
    victim.wait_for_function("document.title === 'done'")
    assert victim.evaluate("window.read") == ""


def test_another_site_shows_none_of_our_pages_in_its_own(
    victim: Page, attacker: Attacker, site: Serving
) -> None:
    victim.goto(attacker.put(_FRAME, site))
    victim.wait_for_load_state("networkidle")
    assert all("secret" not in frame.content() for frame in victim.frames)


def test_a_foreign_name_that_leads_here_is_turned_away(victim: Page, site: Serving) -> None:
    """DNS rebinding: the page's own site has become this machine, so it may read what it gets."""
    answer = victim.goto(f"http://evil.example:{site.port}/jobs?token={site.token}")
    assert answer is not None and answer.status == 421
    assert "secret" not in victim.content()
    read = victim.evaluate("fetch('/jobs').then((answer) => answer.text())")
    assert "secret" not in read
    assert victim.context.cookies(f"http://evil.example:{site.port}") == []


def test_the_key_is_in_no_address_after_the_first_visit(tab: Tab, site: Serving) -> None:
    page = tab.page
    assert page.url == f"{site.base}/"
    seen: list[str] = []
    page.on("request", lambda request: seen.append(f"{request.url} {request.headers}"))
    tab.go("/jobs")
    page.get_by_role("link", name="Settings").click()
    assert seen and not any(site.token in one for one in seen)
    assert site.token not in page.content()
    assert "queuectl" not in page.evaluate("document.cookie")


def test_a_script_that_came_into_a_page_would_not_run(tab: Tab) -> None:
    page = tab.go("/")
    page.evaluate(_INTO_A_PAGE)
    wait_until(lambda: len(tab.errors) >= 3, "the browser complains of all three")
    assert page.evaluate("window.ran") is None
    assert all("Content Security Policy" in one or "404" in one for one in tab.errors), tab.errors
