"""Pages for everybody: no violation that axe-core finds, by the keyboard, in both themes, on a phone."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from queuectl.job import Job
from queuectl.schedule import Schedule
from tests.browser.conftest import Tab
from tests.support.program import Program
from tests.support.web import Serving

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
_COLOURS = "".join(
    f"\x1b[{fore};{back}mtext \x1b[0m" for fore in range(30, 38) for back in (49, *range(40, 48))
)


@pytest.fixture
def full(program: Program, site: Serving) -> Serving:
    """A spool of which each page has something to show."""
    site.queue.enqueue([{"id": f"dead-{n}", "command": "echo hi", "tags": ["nightly"]} for n in range(3)])
    site.queue.cancel([f"dead-{n}" for n in range(3)])
    site.queue.enqueue([{"id": f"job-{n:03}", "command": "echo hi", "group": "video"} for n in range(60)])
    site.queue.enqueue({"id": "later", "command": "echo hi", "run_at": "2999-01-01T00:00:00Z"})
    site.queue.enqueue({"id": "held", "command": "echo hi", "hold": True})
    site.queue.enqueue(
        {"id": "once", "command": f"printf '{_COLOURS}'; exit 3", "max_retries": 1, "priority": 9}
    )
    site.queue.groups.set("video", {"limit": 1})
    site.queue.groups.pause(["video"])
    site.queue.schedules.add("nightly", Schedule(cron="0 3 * * *", job=Job(command="echo hi")))
    program.drop("broken.json", b"{")
    with program.workers(2):
        program.wait_in("dead", "once")
    (program.spool / "logs" / "once.log").write_bytes(_COLOURS.encode())
    return site


def pages(site: Serving) -> list[str]:
    return [
        "/",
        "/?span=day",
        "/jobs",
        "/jobs?state=pending&q=job",
        "/jobs/once",
        "/jobs/job-001",
        "/dead",
        "/dead?q=none",
        "/schedules",
        "/groups",
        "/settings",
        "/enqueue",
        "/enqueue?like=once",
        "/jobs/nosuch",
        "/login",
    ]


def violations(page: Page) -> list[Any]:
    found = Axe().run(page, options=_RULES)
    return [
        (
            one["id"],
            one["impact"],
            [(node["html"][:200], node["failureSummary"]) for node in one["nodes"]][:3],
        )
        for one in found.response["violations"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(browser: Browser, full: Serving, scheme: Any, width: int) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
    try:
        page = context.new_page()
        page.goto(full.made.address)
        for path in pages(full):
            page.goto(full.base + path)
            page.wait_for_load_state("load")
            assert violations(page) == [], path
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{path} is wider than a screen of {width}"
        page.goto(full.base + "/dead")
        page.get_by_label("Tick dead-1").check()
        page.get_by_role("button", name="Delete ticked").click()
        page.get_by_role("heading", name="Are you sure?").wait_for()
        assert violations(page) == []
        page.get_by_role("button", name="Delete them").click()
        page.get_by_text("1 deleted").wait_for()
        assert violations(page) == []
    finally:
        context.close()


def test_axe_finds_what_is_wrong(tab: Tab) -> None:
    """The control run."""
    page = tab.go("/")
    wrong = '<input><img src="/static/icon.svg">'
    page.evaluate("(html) => document.querySelector('main').insertAdjacentHTML('beforeend', html)", wrong)
    assert {one[0] for one in violations(page)} >= {"label", "image-alt"}


def focused(page: Page) -> str:
    return str(
        page.evaluate("(document.activeElement.textContent || document.activeElement.name || '').trim()")
    )


def test_the_keyboard_reaches_everything(tab: Tab, full: Serving) -> None:
    page = tab.go("/dead")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page = tab.go("/dead")
    page.evaluate("window.all = [...document.querySelectorAll('a[href], button, input:not([type=hidden])')]")
    wanted = page.evaluate("window.all.filter((one) => one.checkVisibility()).length")
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("window.all.indexOf(document.activeElement)"))
    assert len(reached - {-1}) == wanted


def test_what_has_the_focus_is_seen(tab: Tab) -> None:
    page = tab.go("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_focus_stays_as_the_page_changes(tab: Tab, site: Serving) -> None:
    page = tab.go("/dead")
    page.get_by_label("Search").focus()
    site.queue.enqueue({"id": "a", "command": "x"})
    site.queue.cancel("a")
    page.get_by_label("Tick a", exact=True).wait_for()
    assert page.evaluate("document.activeElement.name") == "q"
    page.get_by_label("Tick a", exact=True).focus()
    site.queue.enqueue({"id": "b", "command": "x"})
    site.queue.cancel("b")
    page.get_by_label("Tick b", exact=True).wait_for()
    assert page.evaluate("document.activeElement.value") == "a"
