"""What is done on pages: each action, what it says, and what it says where it cannot be done."""

from __future__ import annotations

import json
import re

import pytest

from queuectl.job import Job
from queuectl.schedule import Schedule
from queuectl.state import State
from tests.support.web import Events, Serving


def kill(site: Serving, *ids: str) -> None:
    """Jobs of these ids lie in dead."""
    site.queue.enqueue([{"id": one, "command": "echo hi"} for one in ids])
    site.queue.cancel(list(ids))


def test_a_job_through_all_of_its_verbs(site: Serving) -> None:
    site.queue.enqueue({"id": "a", "command": "echo hi"})
    assert site.said("/jobs/a/hold") == "done: a is held"
    assert site.queue.get("a").hold
    assert site.said("/jobs/a/release") == "done: a is released"
    assert site.said("/jobs/a/cancel") == "done: a is cancelled"
    assert site.queue.state_of("a") is State.DEAD
    assert site.said("/jobs/a/retry") == "done: a is run again"
    assert site.queue.state_of("a") is State.PENDING
    assert site.said("/jobs/a/priority", ("priority", "-7")) == "done: a has priority -7"
    assert site.queue.get("a").priority == -7


def test_what_is_said_is_said_once(site: Serving) -> None:
    answer = site.post("/pause")
    cookie = answer.headers["set-cookie"].partition(";")[0]
    page = site.get("/", headers={"Cookie": cookie})
    assert 'id="said"' in page.text
    assert f'{cookie.partition("=")[0]}=""' in page.headers["set-cookie"]
    assert 'id="said"' not in site.get("/").text


def test_what_is_said_is_not_for_a_page_that_follows_the_queue(site: Serving) -> None:
    """It fetches itself while its browser is already on its way to the next one."""
    cookie = site.post("/pause").headers["set-cookie"].partition(";")[0]
    live = site.get("/", headers={"Cookie": cookie, "X-Queuectl-Live": "1"})
    assert 'id="said"' not in live.text and "set-cookie" not in live.headers
    assert 'id="said"' in site.get("/", headers={"Cookie": cookie}).text


@pytest.mark.parametrize(
    ("path", "fields", "why"),
    [
        ("/jobs/a/retry", [], "pending"),
        ("/jobs/nosuch/cancel", [], "no job"),
        ("/jobs/a/purge", [("sure", "yes")], "dead"),
        ("/jobs/a/nosuch", [], "no verb"),
        ("/jobs/a/priority", [("priority", "high")], "whole number"),
        ("/jobs/a/priority", [("priority", "99999999999")], "priority"),
        ("/dead", [("verb", "retry")], "ticked"),
        ("/dead", [("verb", "nosuch"), ("id", "a")], "no verb"),
        ("/settings/nosuch", [("value", "1")], "nosuch"),
        ("/settings/max_retries", [("value", "many")], "max_retries"),
        ("/groups/nosuch/resume", [], "nosuch"),
        ("/groups/g/nosuch", [], "no verb"),
        ("/schedules/nosuch/run", [], "nosuch"),
        ("/schedules/nosuch/nosuch", [], "no verb"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(
    site: Serving, path: str, fields: list[tuple[str, str]], why: str
) -> None:
    site.queue.enqueue({"id": "a", "command": "echo hi"})
    said = site.said(path, *fields)
    assert said.startswith("error: ") and why in said
    assert site.queue.state_of("a") is State.PENDING and site.queue.get("a").priority == 0


def test_a_job_is_deleted_only_by_who_is_sure(site: Serving) -> None:
    kill(site, "a")
    asked = site.post("/jobs/a/purge")
    assert asked.code == 200 and "Delete a for good" in asked.text
    assert site.queue.state_of("a") is State.DEAD
    assert site.said("/jobs/a/purge", ("sure", "yes")) == "done: a is deleted"
    assert "a" not in site.queue


def test_dead_letters_that_are_ticked(site: Serving) -> None:
    kill(site, "a", "b", "c")
    assert site.said("/dead", ("verb", "retry"), ("id", "a"), ("id", "b")).startswith(
        "done: 2 to be run again"
    )
    assert [site.queue.state_of(one).value for one in "abc"] == ["pending", "pending", "dead"]
    said = site.said("/dead", ("verb", "retry"), ("id", "a"), ("id", "c"))
    assert said.startswith("done: 1 to be run again, 1 not: ") and "pending" in said
    assert site.said("/dead", ("verb", "retry"), ("id", "a")).startswith("error: 0 to be run again, 1 not")


def test_all_dead_letters_that_are_found_and_none_that_has_died_since(site: Serving) -> None:
    kill(site, "x-1", "x-2", "y-1")
    page = site.get("/dead?q=x-").text
    seen = re.search(r'name="seen_at" value="([^"]+)"', page)
    assert seen is not None
    seen_at = seen[1]
    while site.queue.get("y-1").updated_at >= seen_at:  # type: ignore[operator]
        seen_at = re.search(r'name="seen_at" value="([^"]+)"', site.get("/dead?q=x-").text)[1]  # type: ignore[index]
    kill(site, "x-3")
    fields = (("verb", "purge"), ("all", "yes"), ("q", "x-"), ("seen_at", seen_at))
    asked = site.post("/dead", *fields)
    assert "Delete 2 dead letters, with their logs, for good" in asked.text and len(site.queue) == 4
    assert site.said("/dead", *fields, ("sure", "yes")).startswith("done: 2 deleted")
    assert sorted(job.name for job in site.queue) == ["x-3", "y-1"]


def test_pause_and_resume(site: Serving) -> None:
    assert site.said("/pause").startswith("done: Paused")
    assert site.queue.paused and ">paused<" in site.get("/").text
    assert site.said("/resume", ("back", "/jobs")).startswith("done")
    assert not site.queue.paused


def test_a_group(site: Serving) -> None:
    site.queue.enqueue({"command": "x", "group": "video 1"})
    assert site.said("/groups/video%201/pause") == "done: group video 1: paused"
    assert [row["paused"] for row in site.queue.groups.rows()] == [True]
    assert site.said("/groups/video%201/resume") == "done: group video 1: resumed"


def test_a_schedule(site: Serving) -> None:
    site.queue.schedules.add("nightly", Schedule(cron="0 3 * * *", job=Job(command="echo hi")))
    assert site.said("/schedules/nightly/pause") == "done: schedule nightly: paused"
    assert site.said("/schedules/nightly/resume") == "done: schedule nightly: resumed"
    assert site.said("/schedules/nightly/run").startswith("done: added nightly")
    assert len(site.queue) == 1


def test_a_setting(site: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.said("/settings/max_retries", ("value", " 7 ")) == "done: max_retries = 7"
    assert site.queue.get_config()["max_retries"] == 7
    assert site.said("/settings/max_retries", ("unset", "yes")) == "done: max_retries = 3"


def test_a_job_is_added_by_its_fields(site: Serving) -> None:
    fields = (
        ("command", " echo hi "),
        ("id", "a"),
        ("group", "g"),
        ("tags", "x, y z"),
        ("priority", "5"),
        ("max_retries", "0"),
        ("timeout", "1.5"),
        ("cwd", ""),
        ("delay", "1h"),
        ("hold", "yes"),
        ("json", " "),
    )
    answer = site.post("/enqueue", *fields)
    assert (answer.code, answer.headers["location"]) == (303, "/jobs/a")
    job = site.queue.get("a")
    assert (job.command, job.group, job.tags, job.priority) == ("echo hi", "g", ["x", "y", "z"], 5)
    assert (job.max_retries, job.timeout, job.hold) == (0, 1.5, True) and job.run_at is not None


def test_a_job_is_added_as_a_file(site: Serving) -> None:
    text = '{"id": "ü", "command": ["echo", "ü 日"],\n "env": {"A": "b"}}'
    assert site.post("/enqueue", ("json", text), ("command", "not this")).code == 303
    assert site.queue.get("ü").command == ["echo", "ü 日"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([], "command"),
        ([("command", "x"), ("priority", "high")], "priority"),
        ([("command", "x"), ("priority", "1.5")], "priority"),
        ([("command", "x"), ("timeout", "-1")], "timeout"),
        ([("command", "x"), ("delay", "soon")], "not before"),
        ([("command", "x"), ("id", "a/b")], "id"),
        ([("json", '{"comand": "x"}')], "command"),
        ([("json", '{"command": "x",\n"priority": "y"}')], "line 2"),
        ([("json", "[]")], "object"),
    ],
)
def test_what_is_no_job_is_said_as_it_is_typed_and_when_it_is_sent(
    site: Serving, fields: list[tuple[str, str]], why: str
) -> None:
    checked = site.post("/enqueue/check", *fields)
    assert why in json.loads(checked.text)["error"]
    answer = site.post("/enqueue", *fields)
    assert answer.code == 422 and re.search(r'id="problem"[^>]*>[^<]*' + why, answer.text), answer.text
    for _, value in fields:
        assert value.split('"')[0] in answer.text
    assert len(site.queue) == 0


def test_an_id_that_is_taken_is_said_so(site: Serving) -> None:
    site.queue.enqueue({"id": "a", "command": "x"})
    answer = site.post("/enqueue", ("id", "a"), ("command", "y"))
    assert answer.code == 422 and "is in this spool already" in answer.text
    assert site.queue.get("a").command == "x"


def test_what_is_right_so_far_is_not_complained_of(site: Serving) -> None:
    assert json.loads(site.post("/enqueue/check", ("command", "x")).text) == {"error": None}
    assert len(site.queue) == 0


def test_a_form_that_is_too_large_is_refused(site: Serving) -> None:
    assert site.post("/enqueue", ("json", "x" * 5_000_000)).code == 413
    assert site.post("/enqueue", *[("a", "b")] * 2000).code == 400
    headers = {"Content-Type": "text/plain"}
    assert site.ask("POST", "/pause", body=f"form_token={site.form_token()}", headers=headers).code == 415
    assert not site.queue.paused


# Streams


def test_a_page_hears_of_each_change(site: Serving) -> None:
    version = re.search(r'data-version="(\d+)"', site.get("/").text)
    assert version is not None
    with Events(site, f"/events?version={version[1]}") as events:
        site.queue.enqueue({"id": "a", "command": "x"})
        first = events.next("changed")
        assert first != version[1]
        # As somebody does in Explorer.
        (site.made_root / "pending" / "a.json").rename(site.made_root / "dead" / "a.json")
        assert events.next("changed") != first
        site.queue.pause()
        events.next("changed")
        site.queue.groups.set("g", {"limit": 1})
        events.next("changed")
        site.queue.set_config("max_retries", "9")
        events.next("changed")


def test_a_page_that_shows_an_older_version_hears_so_at_once(site: Serving) -> None:
    with Events(site, "/events?version=0") as events:
        assert events.next("changed") != "0"


def test_what_a_job_prints_is_followed(site: Serving) -> None:
    site.queue.enqueue({"id": "a", "command": "x"})
    log = site.made_root / "logs" / "a.log"
    with Events(site, "/jobs/a/events") as events:
        assert events.next("log") == {"drop": 0, "keep": 0, "lines": []}
        log.write_bytes(b"one\ntw")
        assert events.next("log") == {"drop": 0, "keep": 0, "lines": [[["one", ""]], [["tw", ""]]]}
        log.write_bytes(b"one\n\x1b[31mtwo\x1b[0m <b>\n")
        assert events.next("log") == {"drop": 0, "keep": 1, "lines": [[["two", "f1"], [" <b>", ""]]]}
        log.unlink()
        assert events.next("log") == {"drop": 0, "keep": 0, "lines": []}


def test_streams_of_what_is_not_there(site: Serving) -> None:
    assert site.get("/jobs/nosuch/events").code == 404
