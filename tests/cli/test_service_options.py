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


def test_so_is_a_module_whose_name_would_be_a_line_of_its_own(cli: CommandLine) -> None:
    line = cli.fails(2, "service", "install", "--tasks", "work\nExecStart=/bin/sh")
    assert "cannot be told of 'work\\nExecStart" in line
    assert list(cli.here.iterdir()) == []


@pytest.mark.parametrize("letter", ["\u3000", "\xa0", "\U0001fae9"], ids=ascii)
def test_one_that_is_only_unusual_is_not(cli: CommandLine, letter: str) -> None:
    """A wide space, one that does not break, a face that this Python's Unicode may not have yet."""
    assert f"a{letter}b" in cli.ok("--spool", f"a{letter}b", "service", "install", "--dry-run").out


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


def test_settings_for_one_call_are_those_of_its_workers(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = cli.ok("service", "install", "--set", "max_retries=1", "--dry-run").out
    assert "--set max_retries=1 worker start" in shown.replace('"', "")
    # The system starts them in an environment that has none of this.
    monkeypatch.setenv("QUEUECTL_TIMEOUT", "10m")
    monkeypatch.setenv("QUEUECTL_MAX_RETRIES", "7")
    shown = cli.ok("service", "install", "--set", "max_retries=1", "--dry-run").out.replace('"', "")
    assert "--set timeout=10m" in shown
    assert "--set max_retries=1" in shown
    assert "=7" not in shown
