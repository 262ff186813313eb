"""Showing a folder, or a file in it, in Explorer, Finder or the file manager, and a page in the browser.

A file itself is never opened.

Not click's `launch`: that waits for Explorer, gives what it starts our streams, does not hear of an xdg-open
that fails, and lets it begin a browser in the terminal where there is no display.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from typing import Optional, Union

PATIENCE = 3.0
"""Seconds in which a program tells that it cannot; one that then still runs is what shows the folder."""


def show_folder(path: str) -> Optional[str]:
    """Show what is in a folder; why that cannot be done, else None."""
    if sys.platform == "win32":
        try:
            # With the separator it can only be the folder, and no program of that name beside it.
            os.startfile(os.path.join(path, ""))
        except OSError as error:
            return error.strerror or str(error)
        return None
    if sys.platform == "darwin":
        return _start(["/usr/bin/open", path])
    return _show_on_linux(path)


def show_page(address: str) -> Optional[str]:
    """Show a page in the browser; why that cannot be done, else None."""
    if sys.platform == "win32":
        try:
            os.startfile(address)
        except OSError as error:
            return error.strerror or str(error)
        return None
    if sys.platform == "darwin":
        return _start(["/usr/bin/open", address])
    if os.environ.get("WSL_DISTRO_NAME") and shutil.which("explorer.exe"):
        return _start(["explorer.exe", address], tells=False)
    return _start_on_display(["xdg-open", address])


def show_file(path: str) -> Optional[str]:
    """Show a file in its folder, selected where the system can (Windows, macOS); why not, else None."""
    if sys.platform == "win32":
        return _start(explorer_line(path))
    if sys.platform == "darwin":
        return _start(["/usr/bin/open", "-R", path])
    return _show_on_linux(os.path.dirname(path))


def explorer_line(path: str) -> str:
    """The command line by which Explorer selects a file: a comma ends a name that has no quotes."""
    explorer = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "explorer.exe")
    return f'"{explorer}" /select,"{path}"'


def _show_on_linux(folder: str) -> Optional[str]:
    seen = _as_windows_sees(folder)
    if seen is not None:
        return _start(["explorer.exe", seen], tells=False)
    return _start_on_display(["xdg-open", folder])


def _start_on_display(command: list[str]) -> Optional[str]:
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        # It would look for a browser that runs in the terminal.
        return "there is no display"
    return _start(command)


def _as_windows_sees(folder: str) -> Optional[str]:
    """Its path for the Explorer of the Windows that we run in (WSL); None if there is none to call."""
    if not os.environ.get("WSL_DISTRO_NAME") or shutil.which("explorer.exe") is None:
        return None
    asked = ["wslpath", "-w", folder]
    with suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True
        )
        return told.stdout.decode("utf-8", "surrogateescape").rstrip("\n") or None
    return None


def _start(command: Union[str, list[str]], *, tells: bool = sys.platform != "win32") -> Optional[str]:
    """Start a program that has nothing of ours, and is not waited for if it goes on.

    One that does not tell by its exit code is believed: Explorer hands over to the one that runs, and says 1.
    """
    try:
        started = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        name = command if isinstance(command, str) else command[0]
        return f"{name}: {error.strerror or error}"
    with suppress(subprocess.TimeoutExpired):
        code = started.wait(PATIENCE)
        if code and tells:
            return f"{command[0]} ended with exit code {code}"
    # Else Python complains that it is left running.
    started.returncode = started.returncode or 0
    return None
