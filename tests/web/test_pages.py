"""What pages show: each view, whatever jobs are called and print; and lists of any length."""

from __future__ import annotations

import base64
import html
import json
import re
import sys
import time
from typing import Any
from urllib.parse import quote

import pytest

from queuectl import Queue
from queuectl.job import Job, Run
from queuectl.schedule import Schedule
from queuectl.spool import Place
from queuectl.state import State
from queuectl.web import sharing
from tests.support.waiting import wait_until
from tests.support.web import Serving

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&"


def shown(site: Serving, path: str) -> str:
    answer = site.get(path)
    assert answer.code == 200, answer
    return answer.text


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def ids_on(page: str) -> list[str]:
    return [html.unescape(one) for one in re.findall(r'<tr id="job-([^"]*)"', page)]


def put(site: Serving, state: State, **fields: object) -> str:
    """A job as somebody drops it into a folder."""
    [place] = site.queue.enqueue([{"command": "echo hi", **fields}])
    spool = site.queue.store.spool
    job = site.queue.get(place.job_id)
    if state is not State.PENDING:
        spool.move(place, Place(state, place.job_id))
    assert isinstance(job, Job)
    site.queue.refresh()
    return place.job_id


def test_the_overview_counts_and_tells_what_needs_an_eye(site: Serving) -> None:
    for state, count in ((State.PENDING, 3), (State.DEAD, 2)):
        for _ in range(count):
            put(site, state)
    (site.made_root / "pending" / "broken.json").write_text("{")
    page = shown(site, "/")
    counts = re.findall(r'<span class="number">(\d+)</span> <span class="state (\w+)">', page)
    assert {state: int(count) for count, state in counts} == {
        "pending": 3,
        "processing": 0,
        "completed": 0,
        "failed": 0,
        "dead": 2,
    }
    assert "queuectl worker start" in page


@pytest.mark.parametrize("job_id", ["a b", "ü-日本", "100%", "a#b", "a&b=c", "it's", "+", "a;b", "ᴬ" * 30])
def test_any_id_has_a_page(site: Serving, job_id: str) -> None:
    put(site, State.DEAD, id=job_id)
    links = re.findall(r'class="id" href="(/jobs/[^"]+)">([^<]+)<', shown(site, "/jobs"))
    assert [html.unescape(text) for _, text in links] == [job_id]
    page = shown(site, html.unescape(links[0][0]))
    assert f'<h1 class="id">{html.escape(job_id, quote=False).replace(chr(39), "&#39;")}</h1>' in page
    assert site.said(f"/jobs/{quote(job_id, safe='')}/retry").startswith("done")
    assert site.queue.state_of(job_id) is State.PENDING


def test_nothing_that_a_job_says_becomes_html(site: Serving) -> None:
    job_id = put(
        site,
        State.DEAD,
        command=["echo", EVIL],
        tags=[EVIL],
        group=None,
        meta={EVIL: EVIL},
        env={"A": "top secret"},
        on_dead={"command": "x", "env": {"B": "top secret"}},
        cwd=EVIL,
        stdin=EVIL,
    )
    log = site.queue.store.spool.log_path(job_id)
    with open(log, "w", encoding="utf-8") as file:
        file.write(
            f"\x1b[31m{EVIL}\x1b[0m\n\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07 \x1b[2J\x00\u202e\n"
        )
    for path in (f"/jobs/{job_id}", "/", "/jobs", "/dead", f"/enqueue?like={job_id}"):
        page = shown(site, path)
        assert "<script>alert" not in page and "<img" not in page and '="javascript:' not in page, path
        assert "top secret" not in page or path.startswith("/enqueue")
    page = shown(site, f"/jobs/{job_id}")
    assert html.escape("<script>alert(1)</script>") in page and '<span class="f1">' in page
    assert "\\x202e" in page and "\\x00" in page
    text = site.get(f"/jobs/{job_id}/log")
    assert text.headers["content-type"].startswith("text/plain") and EVIL in text.text


def test_a_file_that_is_no_job_is_shown_as_one(site: Serving) -> None:
    (site.made_root / "dead" / "x.json").write_text(EVIL)
    site.queue.refresh()
    assert ids_on(shown(site, "/dead")) == ["x"]
    answer = site.get("/jobs/x")
    assert "<script>alert" not in answer.text and "x.json" in answer.text


@pytest.mark.parametrize("path", ["/jobs/nosuch", "/nosuch", "/jobs/..", "/jobs/%2e%2e%2f", "/jobs/con"])
def test_what_is_not_there_is_said_so(site: Serving, path: str) -> None:
    answer = site.get(path)
    assert answer.code == 404 and "That cannot be shown" in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "state=nosuch",
        "behind=nonsense",
        "behind=WyJ4Il0",
        "since=soon",
        "behind=W10",
        "behind=WyJyZWFkeSIsMV0",
        "behind=WyJyZWFkeSIsW11d",
        "behind=" + encoded(["due", 2**70, "x"]),
        "behind=" + encoded(["due", 1, "\ud800"]),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(site: Serving, query: str) -> None:
    assert site.get(f"/jobs?{query}").code == 400


def test_lists_are_paged_without_a_gap(site: Serving) -> None:
    given = [f"job-{number:03}" for number in range(120)]
    site.queue.enqueue([{"id": one, "command": "x"} for one in given])
    site.queue.refresh()
    met: list[str] = []
    path = "/jobs?state=pending"
    for _ in range(3):
        page = shown(site, path)
        met += ids_on(page)
        following = re.search(r'rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else ""
    assert met == given and path == ""


def test_a_search_finds_ids_commands_errors_and_tags(site: Serving) -> None:
    put(site, State.PENDING, id="by-id-needle")
    put(site, State.PENDING, id="b", command="find the Needle here")
    put(site, State.PENDING, id="c", tags=["NEEDLE-x"])
    put(site, State.PENDING, id="d", command="nothing")
    assert set(ids_on(shown(site, "/jobs?q=needle"))) == {"by-id-needle", "b", "c"}
    assert ids_on(shown(site, "/jobs?q=needle&state=dead")) == []
    assert ids_on(shown(site, "/jobs?q=the+needle")) == ["b"]


def test_filters(site: Serving) -> None:
    put(site, State.PENDING, id="a", group="video", tags=["x"])
    put(site, State.PENDING, id="b", group="mail")
    assert ids_on(shown(site, "/jobs?group=video")) == ["a"]
    assert ids_on(shown(site, "/jobs?tag=x")) == ["a"]
    assert set(ids_on(shown(site, "/jobs?since=1h"))) == {"a", "b"}


def test_the_attempts_of_a_job_are_a_timeline(site: Serving) -> None:
    job_id = put(site, State.PENDING, id="a")
    place = site.queue.locate(job_id)
    runs = [
        Run(
            outcome="failed",
            attempt=1,
            started_at="2026-01-01T00:00:00Z",
            finished_at="2026-01-01T00:00:05Z",
            exit_code=3,
            error="exit code 3",
            worker="w",
        ),
        Run(outcome="crashed", finished_at="2026-01-01T00:01:00Z", error="worker died"),
    ]
    import msgspec

    store = site.queue.store
    store.stamp(place, msgspec.structs.replace(site.queue.get(job_id), history=runs))
    page = shown(site, "/jobs/a")
    timeline = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page[page.index('class="timeline"') :]))
    assert (
        timeline.index("crashed")
        < timeline.index("failed attempt 1, exit code 3")
        < timeline.index("came in")
    )
    assert "took 5.0 s" in timeline


def test_schedules_groups_and_settings(site: Serving) -> None:
    site.queue.schedules.add(
        "nightly", Schedule(cron="0 3 * * *", job=Job(command="echo hi"), description=EVIL)
    )
    site.queue.groups.set("video", {"limit": 2, "rate": "10/min"})
    page = shown(site, "/schedules")
    assert "nightly" in page and "0 3 * * *" in page and "<script>alert" not in page
    page = shown(site, "/groups")
    assert "video" in page and "10/min" in page
    page = shown(site, "/settings")
    assert 'action="/settings/max_retries"' in page and "runs after the first" in page


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
def test_pages_go_on_without_an_index(site: Serving) -> None:
    put(site, State.DEAD, id="a")
    for name in ("index.sqlite3", "index.sqlite3-wal", "index.sqlite3-shm"):
        (site.made_root / name).unlink(missing_ok=True)
    wait_until(lambda: ids_on(shown(site, "/dead")) == ["a"], "the dead letter is shown")


def test_a_page_that_takes_long_is_left_as_it_is_for_a_while_but_not_for_who_acts(
    site: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    real = Queue.page

    def slow(queue: Queue, *args: Any, **options: Any) -> Any:
        made.append("page")
        time.sleep(0.05)
        return real(queue, *args, **options)

    monkeypatch.setattr(Queue, "page", slow)
    monkeypatch.setattr(sharing, "_TIMES", 10_000)
    assert ids_on(shown(site, "/jobs")) == []
    put(site, State.PENDING, id="a")
    watcher = site.made.server.config.app.state.site.watcher  # type: ignore[union-attr]
    assert watcher.look_again().status.counts["pending"] == 1
    assert ids_on(shown(site, "/jobs")) == []
    site.post("/pause")
    assert ids_on(shown(site, "/jobs")) == ["a"]


def test_many_who_see_one_page_have_it_made_once(site: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = Queue.page

    def counted(queue: Queue, *args: Any, **options: Any) -> Any:
        made.append(1)
        return real(queue, *args, **options)

    monkeypatch.setattr(Queue, "page", counted)
    shown(site, "/jobs")
    before = len(made)
    for _ in range(5):
        shown(site, "/jobs")
    assert len(made) - before <= 1, "the minute may have changed"
