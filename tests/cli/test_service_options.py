"""What `service install` and `worker start --log-file` refuse before anything is done."""

from __future__ import annotations

import pytest

from queuectl.system.starting import Answer
from queuectl.system.systemd import Systemd
from tests.support.commandline import CommandLine


@pytest.fixture(autouse=True)
def no_manager(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of these comes so far."""

    def made() -> Systemd:
        return Systemd(lambda argv: Answer(0, "", ""), python="python", own={}, user="me", home=str(cli.here))

    monkeypatch.setattr("queuectl.system.starter.starter", made)


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--processes", "2"), "--tasks"),
        (("--tasks", "work", "--processes", "2", "--count", "3"), "in place of --count"),
        (("--count", "0"), "--count"),
        (("--count", "257"), "--count"),
    ],
)
def test_options_that_do_not_go_together(cli: CommandLine, args: tuple[str, ...], told: str) -> None:
    assert told in cli.fails(2, "service", "install", *args)
    assert list(cli.here.iterdir()) == []


def test_a_python_that_is_not_there_is_not_installed(cli: CommandLine) -> None:
    assert "there is no python" in cli.fails(1, "service", "install")
    assert list(cli.here.iterdir()) == []


def test_a_folder_that_cannot_be_written_down_is_refused(cli: CommandLine) -> None:
    assert "cannot be told of" in cli.fails(2, "--spool", "a\nb", "service", "install")
    assert list(cli.here.iterdir()) == []


def test_nothing_is_told_of_a_spool_that_is_not_there_and_none_is_made(cli: CommandLine) -> None:
    result = cli("service", "status")
    assert result.code == 1
    assert "installed       no" in result.out
    assert "no service" in cli.fails(1, "service", "uninstall")
    assert list(cli.here.iterdir()) == []


def test_a_log_that_cannot_be_written_is_told_at_once(cli: CommandLine) -> None:
    line = cli.fails(7, "worker", "start", "--drain", "--log-file", "nowhere/w.log")
    assert "w.log" in line
    assert not cli.spool.exists()


def test_settings_for_one_call_are_those_of_its_workers(cli: CommandLine) -> None:
    shown = cli.ok("service", "install", "--set", "max_retries=1", "--dry-run").out
    assert "--set max_retries=1 worker start" in shown.replace('"', "")
