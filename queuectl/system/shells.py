"""The shells that people type into: which one it is, and which file it reads when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
from typing import NamedTuple, Optional

BASH, ZSH, FISH, POWERSHELL = "bash", "zsh", "fish", "powershell"
NAMES = (BASH, ZSH, FISH, POWERSHELL)
PATIENCE = 30.0
"""Seconds that PowerShell is given to tell where its profile is: its first start on a machine takes some."""
NEW_LINE = os.linesep
"""How lines end in a profile of PowerShell that is new."""

# In Base64: a name of a person need not be in the code page of the console.
_ASK = (
    "[Convert]::ToBase64String([Text.Encoding]::UTF8.GetBytes("
    '"$(Get-ExecutionPolicy)`n$($PROFILE.CurrentUserCurrentHost)"))'
)
_OF_ONE = ("PSMODULEPATH", "PSEXECUTIONPOLICYPREFERENCE")
"""What a PowerShell leaves to what it starts: where its modules are, which an older one must not take for its
own, and the policy of that one window, which is not that of the next.
"""
_PROFILE = "Microsoft.PowerShell_profile.ps1"


class PowerShell(NamedTuple):
    """One that is here."""

    program: str
    profile: str
    """Of this user, in this program: it need not be there."""
    policy: Optional[str]
    """Which scripts it runs, by its own word; None if it could not be asked."""

    @property
    def runs_profiles(self) -> bool:
        """Whether it runs a script that nobody has signed; else a profile is an error at each start."""
        return self.policy not in ("Restricted", "AllSigned")


def used_shell() -> Optional[str]:
    """The shell of whoever calls us: the one that has started us, else the one that they log in with."""
    if sys.platform == "win32":
        return POWERSHELL
    return _shell_named(_name_of_parent()) or _shell_named(os.environ.get("SHELL", ""))


def startup_files(shell: str) -> list[str]:
    """What bash, zsh or fish reads when it starts for a person, or a file of our own that it looks for.

    The first is the one that it reads as things are; it would read the others if those before were not there.
    """
    home = os.path.expanduser("~")
    if shell == ZSH:
        return [os.path.join(os.environ.get("ZDOTDIR") or home, ".zshrc")]
    if shell == FISH:
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        return [os.path.join(config, "fish", "completions", "queuectl.fish")]
    if sys.platform != "darwin":
        return [os.path.join(home, ".bashrc")]
    # A terminal of macOS starts a login shell. `~/.profile` is for other shells, too.
    found = [os.path.join(home, name) for name in (".bash_profile", ".bash_login")]
    return sorted(found, key=lambda path: not os.path.exists(path))


def hidden_by(path: str) -> Optional[str]:
    """What a login shell does not read where this file is; None if there is no such."""
    folder, name = os.path.split(path)
    hidden = os.path.join(folder, ".profile")
    return hidden if name == ".bash_profile" and os.path.exists(hidden) else None


def powershells() -> list[PowerShell]:
    """Windows PowerShell and PowerShell 7, as far as they are here, with the profile of each.

    The profile is what it says itself, else where Microsoft's about_Profiles has it. Takes seconds.
    """
    return [_asked(program, folder) for program, folder in _programs()]


def _shell_named(path: str) -> Optional[str]:
    # A login shell is called `-bash`.
    name = os.path.basename(path.strip()).lstrip("-")
    return POWERSHELL if name == "pwsh" else name if name in NAMES else None


def _name_of_parent() -> str:
    parent = os.getppid()
    try:
        with open(f"/proc/{parent}/comm", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        pass
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["ps", "-o", "comm=", "-p", str(parent)]
        told = subprocess.run(
            asked, stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=False
        )
        return told.stdout.decode("utf-8", "replace")
    return ""


def _programs() -> list[tuple[str, str]]:
    """Each program, and the folder in which its profile is if it does not tell."""
    newer = _on_path("pwsh")
    if sys.platform == "win32":
        documents = _documents()
        windows = os.environ.get("SYSTEMROOT", r"C:\Windows")
        older = os.path.join(windows, "System32", "WindowsPowerShell", "v1.0", "powershell.exe")
        found = [(older, os.path.join(documents, "WindowsPowerShell"))] if os.path.isfile(older) else []
        return [*found, *((one, os.path.join(documents, "PowerShell")) for one in newer)]
    return [(one, os.path.join(os.path.expanduser("~"), ".config", "powershell")) for one in newer]


def _on_path(name: str) -> list[str]:
    # Not shutil.which, which on Windows looks into the current folder first.
    name = f"{name}.exe" if sys.platform == "win32" else name
    folders = [folder.strip('"') for folder in os.environ.get("PATH", "").split(os.pathsep)]
    found = [os.path.join(folder, name) for folder in folders if os.path.isabs(folder)]
    return [one for one in found if os.path.isfile(one) and os.access(one, os.X_OK)][:1]


def _documents() -> str:
    """The folder of documents, which may have been moved (OneDrive does)."""
    if sys.platform == "win32":
        with suppress(Exception):
            from win32com.shell import shell, shellcon

            return str(shell.SHGetFolderPath(0, shellcon.CSIDL_PERSONAL, 0, 0))
    return os.path.join(os.path.expanduser("~"), "Documents")


def _asked(program: str, folder: str) -> PowerShell:
    environment = {name: text for name, text in os.environ.items() if name.upper() not in _OF_ONE}
    try:
        told = subprocess.run(
            [program, "-NoProfile", "-NonInteractive", "-Command", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            env=environment,
            check=False,
        )
        policy, profile = b64decode(told.stdout.split()[-1], validate=True).decode("utf-8").split("\n")
        if os.path.isabs(profile):
            return PowerShell(program, profile, policy)
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        pass
    return PowerShell(program, os.path.join(folder, _PROFILE), None)
