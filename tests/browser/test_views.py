"""The pages in a real browser: that they follow the queue by themselves, and each action on them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from queuectl.job import Job
from queuectl.schedule import Schedule
from queuectl.state import State
from tests.browser.conftest import Tab
from tests.support.program import Program
from tests.support.waiting import wait_until
from tests.support.web import Serving

_WAITS = "import os, sys, time\n{before}\nwhile not os.path.exists({gate!r}): time.sleep(0.02)\n{after}\n"


def waiting_job(gate: Path, before: str = "", after: str = "") -> dict[str, Any]:
    """A job that runs until there is a file `gate`."""
    return {
        "command": [sys.executable, "-u", "-c", _WAITS.format(gate=str(gate), before=before, after=after)]
    }


def row(page: Page, job_id: str) -> Any:
    return page.locator("tbody tr", has=page.get_by_role("link", name=job_id, exact=True))


def dead(site: Serving, *ids: str) -> None:
    site.queue.enqueue([{"id": one, "command": "echo hi"} for one in ids])
    site.queue.cancel(list(ids))


def test_a_job_is_seen_moving_through_its_states_without_reload(
    tab: Tab, program: Program, site: Serving, tmp_path: Path
) -> None:
    page, gate = tab.go("/jobs"), tmp_path / "gate"
    expect(page.get_by_text("No such job.")).to_be_visible()
    program.drop("hello.json", json.dumps(waiting_job(gate)).encode())
    expect(row(page, "hello").locator(".state")).to_have_text("pending")
    with program.workers(1):
        expect(row(page, "hello").locator(".state")).to_have_text("processing")
        gate.touch()
        expect(row(page, "hello").locator(".state")).to_have_text("completed")
    expect(page.get_by_role("navigation", name="States").get_by_text("completed")).to_contain_text("1")
    # As in Explorer.
    (program.spool / "done" / "hello.json").rename(program.spool / "dead" / "hello.json")
    expect(row(page, "hello").locator(".state")).to_have_text("dead")
    (program.spool / "dead" / "hello.json").unlink()
    expect(page.get_by_text("No such job.")).to_be_visible()
    assert tab.is_same_page()


def test_the_overview_tells_what_runs_and_how_far_it_is(tab: Tab, program: Program, tmp_path: Path) -> None:
    page, gate = tab.go("/"), tmp_path / "gate"
    expect(page.get_by_text("No worker runs")).to_be_visible()
    tells = "with open(os.environ['QUEUECTL_PROGRESS'], 'w') as file: file.write('42 halfway there')"
    program.drop("slow.json", json.dumps(waiting_job(gate, tells)).encode())
    with program.workers(2):
        worker = page.locator("section", has=page.get_by_role("heading", name="Workers")).locator("tbody tr")
        expect(worker).to_have_count(2)
        running = worker.filter(has=page.get_by_role("link", name="slow"))
        expect(running).to_contain_text("42 %")
        expect(running.locator("progress")).to_have_attribute("value", "42.0")
        expect(page.locator(".counts a", has_text="processing").locator(".number")).to_have_text("1")
        gate.touch()
        expect(page.locator(".counts a", has_text="completed").locator(".number")).to_have_text("1")
        expect(page.locator("#ended-slow")).to_contain_text("completed")
    expect(page.get_by_text("No worker runs")).to_be_visible()
    assert tab.is_same_page()


def test_what_a_job_prints_is_seen_as_it_prints_it(tab: Tab, program: Program, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    before = r"print('\x1b[31mred\x1b[0m <img src=x onerror=alert(1)>')"
    program.drop("talks.json", json.dumps(waiting_job(gate, before, "print('the end')")).encode())
    page = tab.go("/jobs/talks")
    log = page.locator("#log")
    with program.workers(1):
        expect(log.locator("span.f1")).to_have_text("red")
        expect(log).to_contain_text("<img src=x onerror=alert(1)>")
        assert page.locator("#log img").count() == 0
        expect(page.locator("#run-now")).to_contain_text("running")
        gate.touch()
        expect(log).to_contain_text("the end")
        expect(page.locator("h1 + .state")).to_have_text("completed")
        expect(page.locator(".timeline li").first).to_contain_text("completed attempt 1, exit code 0")
    assert tab.is_same_page()


def test_a_running_job_is_cancelled_and_run_again(tab: Tab, program: Program, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    program.drop("a.json", json.dumps(waiting_job(gate)).encode())
    with program.workers(1):
        page = tab.go("/jobs/a")
        state = page.locator("h1 + .state")
        expect(state).to_have_text("processing")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#said")).to_have_text("a is cancelled")
        expect(state).to_have_text("dead")
        gate.touch()
        page.get_by_role("button", name="Run again").click()
        expect(state).to_have_text("completed")


def test_hold_release_and_priority(tab: Tab, site: Serving) -> None:
    site.queue.enqueue({"id": "a", "command": "x"})
    page = tab.go("/jobs/a")
    page.get_by_role("button", name="Hold").click()
    expect(page.get_by_text("waits: hold")).to_be_visible()
    page.get_by_role("button", name="Release").click()
    expect(page.locator("#said")).to_have_text("a is released")
    page.get_by_label("Priority").fill("12")
    page.get_by_role("button", name="Set").click()
    expect(page.locator("#said")).to_have_text("a has priority 12")
    assert site.queue.get("a").priority == 12


def test_dead_letters_are_retried_and_deleted(tab: Tab, site: Serving) -> None:
    dead(site, "a", "b", "c", "d")
    page = tab.go("/dead")
    page.get_by_label("Tick a", exact=True).check()
    page.get_by_label("Tick b", exact=True).check()
    page.get_by_role("button", name="Retry ticked").click()
    expect(page.locator("#said")).to_have_text("2 to be run again")
    expect(row(page, "a")).to_have_count(0)
    page.get_by_label("Tick all on this page").check()
    page.get_by_role("button", name="Delete ticked").click()
    expect(page.get_by_text("Delete 2 dead letters, with their logs, for good")).to_be_visible()
    page.get_by_role("link", name="Leave it").click()
    expect(row(page, "c")).to_be_visible()
    page.get_by_label("not only the ticked").check()
    page.get_by_role("button", name="Delete ticked").click()
    page.get_by_role("button", name="Delete them").click()
    expect(page.get_by_text("There are none.")).to_be_visible()
    assert sorted(job.name for job in site.queue) == ["a", "b"]


def test_what_somebody_ticks_and_types_outlives_a_change(tab: Tab, site: Serving) -> None:
    dead(site, "a", "b")
    page = tab.go("/dead")
    page.get_by_label("Tick a", exact=True).check()
    page.get_by_label("Search").fill("half a wo")
    dead(site, "c")
    expect(row(page, "c")).to_be_visible()
    expect(page.get_by_label("Tick a", exact=True)).to_be_checked()
    expect(page.get_by_label("Tick c", exact=True)).not_to_be_checked()
    expect(page.get_by_label("Search")).to_have_value("half a wo")
    assert tab.is_same_page()


def test_search_filter_and_pages(tab: Tab, site: Serving) -> None:
    site.queue.enqueue(
        [{"id": f"job-{n:03}", "command": f"echo {n}", "group": "ab"[n % 2]} for n in range(130)]
    )
    page = tab.go("/jobs")
    page.get_by_label("Group").fill("b")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_role("link", name="Next page").click()
    expect(page.locator("tbody tr")).to_have_count(15)
    expect(page.get_by_role("link", name="Next page")).to_have_count(0)
    page.get_by_role("link", name="First page").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_label("Search").fill("echo 17")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="dead").first.click()
    expect(page.get_by_text("There are none.")).to_be_visible()


def test_pause_and_resume(tab: Tab, site: Serving) -> None:
    page = tab.go("/")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("main .state.failed").first).to_have_text("paused")
    assert site.queue.paused
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#said")).to_have_text("Jobs start again")
    assert not site.queue.paused
    site.queue.pause()
    expect(page.locator("main .state.failed").first).to_have_text("paused")


def test_groups_schedules_and_settings(tab: Tab, site: Serving) -> None:
    site.queue.groups.set("video", {"limit": 1})
    site.queue.schedules.add("nightly", Schedule(cron="0 3 * * *", job=Job(command="echo hi")))
    page = tab.go("/groups")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#group-video .state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#group-video .state")).to_have_count(0)
    page = tab.go("/schedules")
    page.get_by_role("button", name="Run now").click()
    expect(page.locator("#said")).to_contain_text("added nightly")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#schedule-nightly .state").first).to_have_text("paused")
    page = tab.go("/settings")
    page.get_by_label("max_retries").fill("8")
    page.locator("#setting-max_retries").get_by_role("button", name="Set").click()
    expect(page.locator("#said")).to_have_text("max_retries = 8")
    page.locator("#setting-max_retries").get_by_role("button", name="Default").click()
    expect(page.locator("#said")).to_have_text("max_retries = 3")


def test_a_job_is_checked_as_it_is_typed_and_added(tab: Tab, site: Serving) -> None:
    page = tab.go("/enqueue")
    problem = page.locator("#problem")
    expect(problem).to_be_hidden()
    page.get_by_label("JSON").fill('{"command": "echo hi", "priority": "high"}')
    expect(problem).to_contain_text("priority")
    expect(page.get_by_label("JSON")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("JSON").fill('{"command": "echo hi", "priority": 3, "id": "typed"}')
    expect(problem).to_be_hidden()
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("h1")).to_have_text("typed")
    assert site.queue.get("typed").priority == 3
    page.get_by_role("link", name="Add one like it").click()
    expect(page.get_by_label("JSON")).to_have_value(re.compile("echo hi"))


def test_the_theme_that_is_chosen_stays(tab: Tab) -> None:
    page = tab.go("/")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert light != dark
    page = tab.go("/jobs")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_a_page_says_that_the_server_is_gone_and_goes_on_when_it_is_back(
    program: Program, context: Any
) -> None:
    with Serving(program.spool) as site:
        tab = Tab(context.new_page(), site)
        tab.page.goto(site.made.address)
        page = tab.go("/jobs")
        port = site.port
    expect(page.get_by_text("No connection to queuectl web")).to_be_visible()
    with Serving(program.spool, port=port) as site:
        site.queue.enqueue({"id": "a", "command": "x"})
        expect(row(page, "a")).to_be_visible()
        expect(page.get_by_text("No connection to queuectl web")).to_be_hidden()
        assert tab.is_same_page()


def test_without_scripts_everything_is_there(browser: Any, site: Serving) -> None:
    context = browser.new_context(java_script_enabled=False)
    try:
        page = context.new_page()
        page.goto(site.made.address)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#said")).to_contain_text("Paused")
        dead(site, "a", "b")
        page.goto(site.base + "/dead")
        page.get_by_label("Tick a", exact=True).check()
        page.get_by_role("button", name="Delete ticked").click()
        page.get_by_role("button", name="Delete them").click()
        expect(page.locator("#said")).to_have_text("1 deleted")
        page.goto(site.base + "/enqueue")
        page.get_by_label("Command").fill("echo hi")
        page.get_by_label("Id", exact=True).fill("plain")
        page.get_by_role("button", name="Add it").click()
        expect(page.locator("h1")).to_have_text("plain")
    finally:
        context.close()
    assert site.queue.state_of("plain") is State.PENDING


def test_a_page_that_nobody_sees_holds_no_connection(tab: Tab, site: Serving) -> None:
    page = tab.go("/")
    watcher = site.made.server.config.app.state.site.watcher  # type: ignore[union-attr]
    wait_until(lambda: len(watcher._bells) == 1, "the page listens")
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: true, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    wait_until(lambda: not watcher._bells, "it does no more")
    site.queue.enqueue({"id": "a", "command": "x"})
    page.evaluate(
        "Object.defineProperty(document, 'hidden', {value: false, configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(page.locator(".counts a", has_text="pending").locator(".number")).to_have_text("1")
