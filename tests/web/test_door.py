"""Nobody else gets in: each promise is attacked, and beside each attack stands what is let in."""

from __future__ import annotations

import base64
import stat
import sys
from pathlib import Path
from urllib.parse import urlencode

import pytest

from queuectl.errors import InvalidInput
from queuectl.web import door
from queuectl.web.door import LOCAL_NAMES
from queuectl.web.server import Wish, served
from tests.support.web import Serving

PAGES = ("/", "/jobs", "/dead", "/schedules", "/groups", "/settings", "/enqueue", "/jobs/a", "/jobs/a/log")
STREAMS = ("/events", "/jobs/a/events")
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_PAUSE", 0.01)


@pytest.fixture(autouse=True)
def a_job(site: Serving) -> None:
    site.queue.enqueue({"id": "a", "command": "echo secret-of-the-job"})


# The key


@pytest.mark.parametrize("path", [*PAGES, *STREAMS])
def test_without_the_key_nothing_is_told(site: Serving, path: str) -> None:
    answer = site.get(path, key=False)
    assert (answer.code, "secret" in answer.text) == (401, False)
    wrong = site.get(path, key=False, headers={"Authorization": "Bearer " + "0" * 32})
    assert wrong.code == 401


@pytest.mark.parametrize("path", PAGES)
def test_with_it_pages_are_shown(site: Serving, path: str) -> None:
    assert site.get(path).code == 200


def test_a_browser_without_the_key_is_asked_for_it(site: Serving) -> None:
    answer = site.get("/jobs", key=False, headers={"Accept": "text/html"})
    assert (answer.code, answer.headers["location"]) == (303, "/login")
    assert "secret" not in site.get("/login", key=False).text


def test_the_first_visit_leaves_the_key_out_of_the_address(site: Serving) -> None:
    first = site.get(f"/jobs?state=dead&token={site.token}&q=x", key=False)
    assert (first.code, first.headers["location"]) == (303, "/jobs?state=dead&q=x")
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and site.token not in cookie
    page = site.get("/jobs", key=False, headers={"Cookie": cookie.partition(";")[0]})
    assert page.code == 200
    assert site.token not in page.text


def test_a_wrong_key_in_the_address_lets_nobody_in(site: Serving) -> None:
    answer = site.get("/?token=" + "0" * 32, key=False)
    assert answer.code == 303 and "set-cookie" not in answer.headers


def test_the_address_that_a_browser_is_started_with_lets_one_in(site: Serving) -> None:
    path = site.made.once.removeprefix(site.base)
    assert "set-cookie" in site.get(path, key=False).headers
    assert "set-cookie" not in site.get(path, key=False).headers


def test_the_first_visit_leads_nowhere_else(site: Serving) -> None:
    for path in (f"//evil.example/?token={site.token}", f"/\\evil.example/?token={site.token}"):
        location = site.get(path, key=False).headers["location"]
        assert location.startswith("/") and location[1:2] not in ("/", "\\"), location


def test_the_key_lasts_and_is_its_owners(site: Serving, tmp_path: Path) -> None:
    path = tmp_path / "spool" / "locks" / "web.key"
    assert site.made.address.rpartition("=")[2] not in path.read_bytes().hex()
    with Serving(tmp_path / "spool") as again:
        assert again.token == site.token
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        path.chmod(0o644)
        with Serving(tmp_path / "spool") as other:
            assert other.token != site.token
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_key_of_another_spool_is_another(site: Serving, tmp_path: Path) -> None:
    with Serving(tmp_path / "other") as other:
        assert other.token != site.token
        assert other.get("/", key=False, headers={"Authorization": f"Bearer {site.token}"}).code == 401


def test_the_form_that_asks_for_the_key(site: Serving) -> None:
    wrong = site.ask("POST", "/login", body="key=nothing", headers=FORM, key=False)
    assert (wrong.code, "set-cookie" in wrong.headers) == (403, False)
    right = site.ask("POST", "/login", body=f"key={site.token}", headers=FORM, key=False)
    assert right.code == 303
    cookie = right.headers["set-cookie"].partition(";")[0]
    assert site.get("/", key=False, headers={"Cookie": cookie}).code == 200


# Names


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "", "127.0.0.1.evil.example", "10.0.0.1"]
)
def test_a_foreign_name_is_refused_with_the_key_and_without(site: Serving, host: str) -> None:
    told = host.format(port=site.port)
    for path in (*PAGES, "/static/live.js", "/login"):
        assert site.get(path, headers={"Host": told}).code == 421
    posted = site.ask(
        "POST", "/pause", headers={"Host": told, **FORM}, body=f"form_token={site.form_token()}"
    )
    assert posted.code == 421 and not site.queue.paused


@pytest.mark.parametrize(
    "host", [*(name for name in LOCAL_NAMES if ":" not in name), "LOCALHOST:80", "[::1]:80"]
)
def test_its_own_names_are_taken(site: Serving, host: str) -> None:
    assert site.get("/", headers={"Host": host}).code == 200


def test_a_name_that_is_allowed(tmp_path: Path) -> None:
    with Serving(tmp_path / "spool", names=["Queue.example"]) as site:
        assert site.get("/", headers={"Host": "queue.example"}).code == 200
        assert site.get("/", headers={"Host": "other.example"}).code == 421


# Forms of others


POSTS = (
    "/pause",
    "/jobs/a/cancel",
    "/jobs/a/priority",
    "/dead",
    "/enqueue",
    "/settings/max_retries",
    "/groups/g/pause",
)


def cookie_of(site: Serving) -> str:
    return site.get(f"/?token={site.token}", key=False).headers["set-cookie"].partition(";")[0]


@pytest.mark.parametrize("path", POSTS)
def test_a_form_without_our_token_does_nothing(site: Serving, path: str) -> None:
    body = urlencode({"priority": "5", "command": "echo x", "value": "9", "all": "yes", "verb": "purge"})
    for form_token in ("", "&form_token=", "&form_token=" + "0" * 32, f"&form_token={site.token}"):
        headers = {"Cookie": cookie_of(site), **FORM}
        answer = site.ask("POST", path, body=body + form_token, headers=headers, key=False)
        assert answer.code == 403, answer
    assert not site.queue.paused
    assert [(job.name, job.priority, job.state.value) for job in site.queue] == [("a", 0, "pending")]
    assert site.queue.get_config()["max_retries"] == 3


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "https://127.0.0.1"},
    ],
)
def test_a_form_from_another_page_does_nothing_even_with_our_token(
    site: Serving, headers: dict[str, str]
) -> None:
    assert site.post("/pause", headers=headers).code == 403
    assert not site.queue.paused


def test_a_form_of_ours_does_what_it_says(site: Serving) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": site.base, "Cookie": cookie_of(site), **FORM}
    answer = site.ask("POST", "/pause", body=f"form_token={site.form_token()}", headers=headers, key=False)
    assert answer.code == 303 and site.queue.paused


def test_nothing_is_done_by_looking(site: Serving) -> None:
    for path in (*POSTS, "/resume", "/jobs/a/retry", "/schedules/s/run"):
        if path not in PAGES:
            assert site.get(f"{path}?form_token={site.form_token()}").code in (404, 405)
    assert not site.queue.paused


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "/x\r\nSet-Cookie: a=b", ""]
)
def test_no_form_leads_elsewhere(site: Serving, back: str) -> None:
    assert site.post("/pause", ("back", back)).headers["location"] == "/"


# What is said of each answer


@pytest.mark.parametrize("path", [*PAGES, "/static/style.css", "/nosuch", "/login"])
def test_each_answer_has_the_headers_that_keep_others_out(site: Serving, path: str) -> None:
    headers = site.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == (
        "no-store" if "static" not in path else "public, max-age=31536000, immutable"
    )
    assert "server" not in headers


def test_pages_hold_nothing_that_the_policy_would_stop(site: Serving) -> None:
    for path in PAGES[:-1]:
        text = site.get(path).text
        assert "<script>" not in text and " style=" not in text and " onclick=" not in text
        assert "https://" not in text and "http://" not in text.replace("http://www.w3.org/2000/svg", "")


def test_files_of_ours_and_nothing_else(site: Serving) -> None:
    for path in (
        "/static/../pages.py",
        "/static/..%2fpages.py",
        "/static/%2e%2e/keys.py",
        "/static//etc/passwd",
    ):
        assert site.get(path).code in (404, 303, 401), path


# Read only


def test_read_only_changes_nothing(tmp_path: Path) -> None:
    with Serving(tmp_path / "spool", read_only=True) as site:
        for path in (*POSTS, "/resume", "/enqueue/check"):
            body = f"form_token={site.made.server.config.app.state.site.rules.keys.form}"
            answer = site.ask("POST", path, body=body, headers=FORM)
            assert answer.code == 403 and "read-only" in answer.text
        assert not site.queue.paused and len(site.queue) == 1
        for path in ("/", "/jobs/a", "/dead", "/settings", "/groups", "/schedules"):
            assert 'method="post"' not in site.get(path).text
        assert 'href="/enqueue"' not in site.get("/").text
        refused = site.get("/enqueue?like=a")
        assert refused.code == 400 and "read-only" in refused.text


# Elsewhere


@pytest.mark.parametrize("password", [None, "", "short"])
def test_others_are_not_served_without_a_password(site: Serving, password: str) -> None:
    with pytest.raises(InvalidInput, match="password of 12 characters"):
        served(site.queue, Wish("0.0.0.0", 0, password=password))


def test_a_password_lets_in_and_changes_all_keys(tmp_path: Path) -> None:
    word = "correct horse battery"
    with Serving(tmp_path / "spool") as open_one, Serving(tmp_path / "spool", password=word) as site:
        basic = base64.b64encode(f"x:{word}".encode()).decode()
        assert site.get("/", key=False, headers={"Authorization": f"Basic {basic}"}).code == 200
        assert site.get("/", key=False, headers={"Authorization": f"Bearer {word}"}).code == 200
        wrong = base64.b64encode(b"x:wrong").decode()
        assert site.get("/", key=False, headers={"Authorization": f"Basic {wrong}"}).code == 401
        assert site.token != open_one.token
        assert site.get("/", key=False, headers={"Cookie": cookie_of(open_one)}).code == 401


def test_behind_a_proxy_that_speaks_tls(tmp_path: Path) -> None:
    with Serving(tmp_path / "spool", names=["queue.example"]) as site:
        headers = {
            "Host": "queue.example",
            "Origin": "https://queue.example",
            "Sec-Fetch-Site": "same-origin",
        }
        assert site.post("/pause", headers=headers).code == 303
        assert site.queue.paused


def test_what_is_said_is_our_own(site: Serving) -> None:
    """Whoever serves another port of this machine can write cookies for ours."""
    name = site.made.server.config.app.state.site.rules.keys.cookie_name  # type: ignore[union-attr]
    said = base64.urlsafe_b64encode(b'["error", "call 555"]').decode()
    for value in (said, f"{said}.", f"{said}." + "0" * 32, ".", "x.y"):
        assert "call 555" not in site.get("/", headers={"Cookie": f"{name}-said={value}"}).text


def test_headers_that_are_nonsense(site: Serving) -> None:
    for value in ("Basic ???", "Basic", "Bearer", "Basic " + base64.b64encode(b"\xff\xfe").decode(), "x"):
        assert site.get("/", key=False, headers={"Authorization": value}).code == 401
    for cookie in (
        "queuectl-x",
        "=;=",
        "\xff=\xff",
        f"{site.made.server.config.app.state.site.rules.keys.cookie_name}=é",
    ):
        assert site.get("/", key=False, headers={"Cookie": cookie}).code == 401
