"""open: what is shown in the file manager, and what is told where that cannot be."""

from __future__ import annotations

from typing import Optional

import pytest

from queuectl.system import showing
from tests.support.commandline import CommandLine


class Manager:
    """The file manager, which shows or cannot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[tuple[str, str]] = []
        self.problem: Optional[str] = None
        monkeypatch.setattr(showing, "show_folder", lambda path: self._show("folder", path))
        monkeypatch.setattr(showing, "show_file", lambda path: self._show("file", path))

    def _show(self, kind: str, path: str) -> Optional[str]:
        self.shown.append((kind, path))
        return self.problem


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Manager:
    return Manager(monkeypatch)


def test_the_spool(cli: CommandLine, manager: Manager) -> None:
    cli.ok("init")
    assert cli.ok("open").out == ""
    assert manager.shown == [("folder", str(cli.spool))]


def test_the_file_of_a_job_wherever_it_lies(cli: CommandLine, manager: Manager) -> None:
    cli.ok("enqueue", "--id", "a", "--", "x")
    cli.ok("open", "a")
    cli.ok("cancel", "a")
    cli.ok("open", "a")
    cli.drop("broken.json", b"no job", "dead")
    cli.ok("open", "broken")
    names = [path for kind, path in manager.shown if kind == "file"]
    assert names == [
        str(cli.spool / place) for place in ("pending/a.json", "dead/a.json", "dead/broken.json")
    ]


def test_its_log(cli: CommandLine, manager: Manager) -> None:
    cli.ok("enqueue", "--id", "a", "--", "x")
    assert "a has printed nothing" in cli.fails(1, "open", "a", "--log")
    log = cli.drop("a.log", b"hi", "logs")
    cli.ok("open", "a", "--log")
    assert manager.shown == [("file", str(log))]
    assert "--log is for a job" in cli.fails(2, "open", "--log")


def test_no_such_job(cli: CommandLine, manager: Manager) -> None:
    cli.ok("init")
    cli.fails(3, "open", "nobody")
    assert manager.shown == []


def test_where_nothing_can_show_it_the_path_is_printed(cli: CommandLine, manager: Manager) -> None:
    manager.problem = "there is no display"
    cli.ok("enqueue", "--id", "a", "--", "x")
    for words, path in ((["open"], cli.spool), (["open", "a"], cli.spool / "pending" / "a.json")):
        answer = cli(*words)
        assert (answer.code, answer.out) == (1, f"{path}\n")
        assert answer.err == "queuectl: cannot show it: there is no display (its path is printed)\n"
