"""launchd: an agent of this user's session (macOS)."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Optional

from queuectl.system.starting import (
    PROGRAM,
    Call,
    Remove,
    Run,
    Service,
    Starter,
    Step,
    Write,
    kept_variables,
    read_text,
)

_SPARE = 30.0
"""Seconds more than the service takes to end, before launchd kills it; also to let go of its name."""
_PAUSE = 10
_SETTLE = 8.0


class Launchd(Starter):
    """Of one user."""

    called = "launchd"
    again = f"after {_PAUSE} s"

    def __init__(self, run: Run, *, python: str, own: Mapping[str, str], user_id: int, home: str) -> None:
        """`own` are the variables that the service is to know, too."""
        super().__init__(run, python)
        self._own, self._domain = own, f"gui/{user_id}"
        self._folder = os.path.join(home, "Library", "LaunchAgents")

    def trouble(self) -> Optional[str]:
        """As `Starter.trouble`."""
        answer = self.run(["launchctl", "print", self._domain])
        return None if answer.code == 0 else f"launchd has no session of this user ({answer.said})"

    def instead(self, argv: Sequence[str], cwd: str) -> str:
        """As `Starter.instead`."""
        line = f"cd {shlex.quote(cwd)} && {shlex.join(argv)}"
        return (
            f"log on at the screen as this user (ssh alone has no such session), or run it yourself: {line}"
        )

    def entry(self, name: str) -> str:
        """As `Starter.entry`."""
        return os.path.join(self._folder, f"{_label(name)}.plist")

    def found(self, name: str) -> Optional[str]:
        """As `Starter.found`."""
        return read_text(self.entry(name))

    def install(self, service: Service) -> list[Step]:
        """As `Starter.install`."""
        path, target = self.entry(service.name), self._target(service.name)
        return [
            Write(path, self.agent(service)),
            # What was there is told to end, and may take its time: so long its name is not free.
            Call(("launchctl", "bootout", target), may_fail=True),
            Call(("launchctl", "print", target), patience=service.patience + _SPARE, to_fail=True),
            Call(("launchctl", "enable", target), may_fail=True),
            # People have seen it refused for some seconds more.
            Call(("launchctl", "bootstrap", self._domain, path), patience=_SETTLE),
        ]

    def forget(self, name: str) -> list[Step]:
        """As `Starter.forget`: launchd forgets nothing that runs; what it starts meanwhile ends at once."""
        return []

    def clear(self, name: str) -> list[Step]:
        """As `Starter.clear`."""
        return [Call(("launchctl", "bootout", self._target(name)), may_fail=True), Remove(self.entry(name))]

    def says(self, name: str) -> str:
        """As `Starter.says`."""
        answer = self.run(["launchctl", "print", self._target(name)])
        if answer.code:
            return "not loaded"
        told = dict(re.findall(r"(?m)^\s*(state|last exit code) = (.+?)\s*$", answer.out))
        last = f", last exit code {told['last exit code']}" if "last exit code" in told else ""
        return f"{told.get('state', '?')}{last}"

    def agent(self, service: Service) -> bytes:
        """The agent's file."""
        import plistlib

        data = plistlib.dumps(
            {
                "Label": _label(service.name),
                "ProgramArguments": [self.python, *PROGRAM, *service.arguments],
                "WorkingDirectory": service.cwd,
                "EnvironmentVariables": kept_variables(self._own),
                "RunAtLoad": True,
                "KeepAlive": True,
                "ThrottleInterval": _PAUSE,
                # As what a person starts: others are held back, in what they compute, read and write.
                "ProcessType": "Interactive",
                "ExitTimeOut": round(service.patience + _SPARE),
            },
            sort_keys=False,
        )
        made = "Made by queuectl service install; queuectl service uninstall removes it."
        note = f"<!-- {made}\n{service.mark} -->\n"
        first, _, rest = data.partition(b"<plist")
        return first + note.encode() + b"<plist" + rest

    def _target(self, name: str) -> str:
        return f"{self._domain}/{_label(name)}"


def _label(name: str) -> str:
    return f"queuectl.{name}"
