"""A folder in the file manager: what is started, with what, and that nobody waits for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from queuectl.system import showing

WINDOWS = sys.platform == "win32"
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="xdg-open is for Linux")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    commands: list[Any] = []

    class Started:
        returncode = 1

        def __init__(self, command: Any, **options: Any) -> None:
            assert {options[name] for name in ("stdin", "stdout", "stderr")} == {subprocess.DEVNULL}
            assert options["close_fds"]
            commands.append(command)

        def wait(self, timeout: float) -> int:
            return 1 if WINDOWS else 0

    monkeypatch.setattr(showing.subprocess, "Popen", Started)
    return commands


def test_explorer_selects_a_file_whatever_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMROOT", r"C:\Windows")
    line = showing.explorer_line(r"C:\my spool\dead\a, b.json")
    assert line.replace("/explorer", "\\explorer") == (
        r'"C:\Windows\explorer.exe" /select,"C:\my spool\dead\a, b.json"'
    )


def test_finder_reveals_a_file(monkeypatch: pytest.MonkeyPatch, started: list[Any]) -> None:
    monkeypatch.setattr(showing.sys, "platform", "darwin")
    assert showing.show_file("/s/dead/a.json") is None or WINDOWS
    assert showing.show_folder("/s") is None or WINDOWS
    assert started == [["/usr/bin/open", "-R", "/s/dead/a.json"], ["/usr/bin/open", "/s"]]


@pytest.mark.skipif(not WINDOWS, reason="Windows only")
def test_windows_shows_a_folder_and_nothing_that_is_named_like_it(
    monkeypatch: pytest.MonkeyPatch, started: list[Any]
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(os, "startfile", opened.append)
    assert showing.show_folder("C:\\s") is None
    assert opened == ["C:\\s\\"]
    assert showing.show_file("C:\\s\\dead\\a.json") is None, "Explorer says 1 when all is well"
    assert started == [showing.explorer_line("C:\\s\\dead\\a.json")]

    def refuses(path: str) -> None:
        raise OSError(5, "Access is denied")

    monkeypatch.setattr(os, "startfile", refuses)
    assert showing.show_folder("C:\\s") == "Access is denied"


class Desktop:
    """A display, and an xdg-open that does this."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.told = folder, folder / "told"
        monkeypatch.setenv("DISPLAY", ":7")
        monkeypatch.delenv("WSL_DISTRO_NAME", raising=False)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def opens(self, script: str) -> None:
        self.has("xdg-open", script)

    def has(self, name: str, script: str) -> None:
        program = self.folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    return Desktop(tmp_path, monkeypatch)


@linux_only
def test_xdg_open_gets_the_folder_and_nothing_of_ours(desktop: Desktop) -> None:
    desktop.opens(f'{{ echo "$#" "$1"; ls -l /proc/$$/fd; }} > {desktop.told}')
    lock = os.open(desktop.folder / "held.lock", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(lock, True)
    try:
        assert showing.show_file("/s/my dead/a.json") is None
    finally:
        os.close(lock)
    told = desktop.told.read_text()
    assert told.startswith("1 /s/my dead\n")
    assert "held.lock" not in told
    assert "0 -> /dev/null" in told
    assert "2 -> /dev/null" in told, "a terminal of ours is not its own"


@linux_only
def test_xdg_open_that_goes_on_is_not_waited_for(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "PATIENCE", 0.2)
    desktop.opens(f"echo $$ > {desktop.told}; exec sleep 60")
    begin = time.monotonic()
    assert showing.show_folder("/s") is None
    assert time.monotonic() - begin < 30
    os.kill(int(desktop.told.read_text()), 9)


@linux_only
def test_why_it_cannot_be_shown(desktop: Desktop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    desktop.opens("exit 3")
    assert showing.show_folder("/s") == "xdg-open ended with exit code 3"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert showing.show_folder("/s") == "xdg-open: No such file or directory"
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("WAYLAND_DISPLAY", "")
    assert showing.show_folder("/s") == "there is no display"


@linux_only
def test_in_wsl_it_is_the_explorer_of_windows(desktop: Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY")
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    desktop.has("wslpath", '[ "$1" = -w ] && printf \'C:\\%s\\n\' "$2"')
    desktop.has("explorer.exe", f'echo "$#" "$1" > {desktop.told}; exit 1')
    assert showing.show_file("/s/my dead/a.json") is None, "it says 1 when all is well"
    assert desktop.told.read_text() == "1 C:\\/s/my dead\n"
    assert showing.show_folder("/s") is None
    assert desktop.told.read_text() == "1 C:\\/s\n"


@linux_only
def test_in_wsl_that_cannot_call_it_linux_shows_what_it_can(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop.opens(f'echo "$1" > {desktop.told}')
    monkeypatch.setenv("WSL_DISTRO_NAME", "Debian")
    assert showing.show_folder("/s") is None, "where the PATH of Windows is not appended"
    assert desktop.told.read_text() == "/s\n"
    desktop.has("explorer.exe", "exit 1")
    desktop.has("wslpath", "exit 1")
    assert showing.show_folder("/t") is None
    assert desktop.told.read_text() == "/t\n"
