from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.memory import in_memory
from tests.support.program import Program
from tests.support.web import Serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

REQUIRED = "QUEUECTL_BROWSER_TESTS"
"""Set where they must not be skipped: where this is not done nobody would notice that no browser is there."""
if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
    assert not os.environ.get(REQUIRED), 'they need pip install ".[browser]"'
    collect_ignore_glob = ["test_*.py"]
_LEFT_OPEN = "ignore:.*_SelectorTransport.__del__:pytest.PytestUnraisableExceptionWarning"
_PATIENCE = 30_000
"""Milliseconds; far more than it takes."""
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A name that whoever attacks has pointed to this machine.
    "--host-resolver-rules=MAP evil.example 127.0.0.1",
)


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    with in_memory(request, tmp_path) as folder:
        yield folder


@pytest.fixture
def program(tmp_path: Path) -> Program:
    made = Program(tmp_path)
    made.ok("init")
    return made


@pytest.fixture
def site(program: Program) -> Iterator[Serving]:
    with Serving(program.spool) as serving:
        yield serving


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_PATIENCE)
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        assert not os.environ.get(REQUIRED), "there is no Chromium here"
        pytest.skip("needs Chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        browser.close()


class Tab:
    """A page in a browser that was let in; what goes wrong in it is kept."""

    def __init__(self, page: Page, site: Serving) -> None:
        self.page, self._site = page, site
        self.errors: list[str] = []
        page.set_default_timeout(_PATIENCE)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog: {dialog.message}"))
        page.on(
            "console", lambda message: self.errors.append(message.text) if message.type == "error" else None
        )

    def go(self, path: str) -> Page:
        """To this page; it notes whether it is ever loaded again."""
        self.page.goto(self._site.base + path)
        self.page.evaluate("window.loaded = 'once'")
        return self.page

    def is_same_page(self) -> bool:
        """Whether it was not loaded again since."""
        return bool(self.page.evaluate("window.loaded === 'once'"))


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1280, "height": 900})
    yield made
    made.close()


@pytest.fixture
def tab(context: BrowserContext, site: Serving) -> Iterator[Tab]:
    made = Tab(context.new_page(), site)
    made.page.goto(site.made.address)
    yield made
    assert made.errors == []


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            # A connection that a browser has opened just as the server ends.
            item.add_marker(pytest.mark.filterwarnings(_LEFT_OPEN))
