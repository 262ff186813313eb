"""Which shell somebody uses, and where a PowerShell says that its profile is."""

from __future__ import annotations

import os
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from queuectl.system import shells

WINDOWS = sys.platform == "win32"
posix_only = pytest.mark.skipif(WINDOWS, reason="a program that is a script of sh")


@posix_only
@pytest.mark.parametrize(
    ("parent", "login", "used"),
    [
        ("zsh\n", "/bin/bash", "zsh"),
        ("-bash\n", "/usr/bin/fish", "bash"),
        ("/opt/homebrew/bin/fish\n", "", "fish"),
        ("pwsh\n", "/bin/bash", "powershell"),
        ("make\n", "/usr/bin/fish", "fish"),
        ("", "/bin/dash", None),
    ],
)
def test_the_one_that_started_us_or_that_of_the_login(
    monkeypatch: pytest.MonkeyPatch, parent: str, login: str, used: str
) -> None:
    monkeypatch.setattr(shells, "_name_of_parent", lambda: parent)
    monkeypatch.setenv("SHELL", login)
    assert shells.used_shell() == used


@posix_only
def test_the_parent_has_a_name() -> None:
    assert shells._name_of_parent().strip()


@pytest.mark.skipif(not WINDOWS, reason="Windows only")
def test_on_windows_it_is_powershell() -> None:
    assert shells.used_shell() == "powershell"
    assert os.path.isabs(shells._documents())


class Pwsh:
    """A program of this name on the PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "pwsh"
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setenv("HOME", str(folder / "home"))
        monkeypatch.setenv("PSModulePath", "/of/another")
        monkeypatch.setenv("PSExecutionPolicyPreference", "Bypass")
        self.fallback = str(folder / "home" / ".config" / "powershell" / "Microsoft.PowerShell_profile.ps1")

    def does(self, script: str) -> None:
        self.path.write_text(f"#!/bin/sh\n{script}\n")
        self.path.chmod(0o755)

    def says(self, text: str) -> None:
        alone = '[ -z "$PSModulePath$PSExecutionPolicyPreference" ]'
        self.does(f"{alone} && echo {b64encode(text.encode()).decode()}")


@pytest.fixture
def pwsh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Pwsh:
    return Pwsh(tmp_path, monkeypatch)


@posix_only
def test_powershell_tells_its_policy_and_its_profile(pwsh: Pwsh) -> None:
    assert shells.powershells() == []
    pwsh.says("Restricted\n/h\u00f6me/profile.ps1")
    (one,) = shells.powershells()
    assert one == (str(pwsh.path), "/h\u00f6me/profile.ps1", "Restricted")
    assert not one.runs_profiles
    pwsh.says("RemoteSigned\n/x.ps1")
    assert shells.powershells()[0].runs_profiles


@posix_only
@pytest.mark.parametrize("script", ["exit 1", "echo hello", "echo aGk=", "kill -9 $$"], ids=str)
def test_one_that_does_not_tell_has_it_where_microsoft_says(pwsh: Pwsh, script: str) -> None:
    pwsh.does(script)
    (one,) = shells.powershells()
    assert (one.profile, one.policy) == (pwsh.fallback, None)
    assert one.runs_profiles


@posix_only
def test_one_that_hangs_is_not_waited_for(pwsh: Pwsh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shells, "PATIENCE", 0.2)
    pwsh.does("exec sleep 60")
    assert shells.powershells()[0].profile == pwsh.fallback


@posix_only
def test_startup_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/h")
    monkeypatch.delenv("ZDOTDIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/c")
    assert shells.startup_files("zsh") == ["/h/.zshrc"]
    assert shells.startup_files("fish") == ["/c/fish/completions/queuectl.fish"]
    monkeypatch.setenv("ZDOTDIR", "/z")
    assert shells.startup_files("zsh") == ["/z/.zshrc"]
    monkeypatch.setattr(shells.sys, "platform", "linux")
    assert shells.startup_files("bash") == ["/h/.bashrc"]
    monkeypatch.setattr(shells.sys, "platform", "darwin")
    assert shells.startup_files("bash") == ["/h/.bash_profile", "/h/.bash_login"]
