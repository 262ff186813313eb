"""systemd: a unit of this user's own manager (Linux)."""

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
"""Seconds more than the service takes to end, before systemd kills it."""
_PAUSE = 5


class Systemd(Starter):
    """Of one user."""

    called = "systemd"
    again = f"after {_PAUSE} s"

    def __init__(self, run: Run, *, python: str, own: Mapping[str, str], user: str, home: str) -> None:
        """`own` are the variables that the service is to know, too."""
        super().__init__(run, python)
        self._own, self._user = own, user
        config = own.get("XDG_CONFIG_HOME", "")
        if not os.path.isabs(config):
            # Like systemd, by the rules of freedesktop.org.
            config = os.path.join(home, ".config")
        self._folder = os.path.join(config, "systemd", "user")

    def trouble(self) -> Optional[str]:
        """As `Starter.trouble`."""
        answer = self.run(["systemctl", "--user", "show", "--property=Version"])
        return None if answer.code == 0 else f"no systemd of this user answers ({answer.said})"

    def instead(self, argv: Sequence[str], cwd: str) -> str:
        """As `Starter.instead`."""
        where = (
            f"log on as this user at the screen or by ssh, or first: sudo loginctl enable-linger {self._user}"
        )
        line = f"@reboot cd {shlex.quote(cwd)} && {shlex.join(argv)}".replace("%", "\\%")
        return f"{where}; where there is no systemd (a container), have cron start it (crontab -e): {line}"

    def entry(self, name: str) -> str:
        """As `Starter.entry`."""
        return os.path.join(self._folder, _unit(name))

    def found(self, name: str) -> Optional[str]:
        """As `Starter.found`."""
        return read_text(self.entry(name))

    def install(self, service: Service) -> list[Step]:
        """As `Starter.install`."""
        unit = _unit(service.name)
        return [
            Write(self.entry(service.name), self.unit(service).encode()),
            _call("daemon-reload"),
            _call("enable", unit),
            # Not waited for: an earlier one may still finish what it runs.
            _call("start", "--no-block", unit),
        ]

    def forget(self, name: str) -> list[Step]:
        """As `Starter.forget`."""
        return [
            _call("disable", _unit(name), may_fail=True),
            Remove(self.entry(name)),
            # What runs is of no unit from now on, and so not started again.
            _call("daemon-reload", may_fail=True),
        ]

    def clear(self, name: str) -> list[Step]:
        """As `Starter.clear`."""
        return [
            # One that waited for its next start.
            _call("stop", "--no-block", _unit(name), may_fail=True),
            _call("reset-failed", _unit(name), may_fail=True),
            # Once more, where somebody has deleted the unit: systemd's link to it is left then.
            _call("disable", _unit(name), may_fail=True),
        ]

    def says(self, name: str) -> str:
        """As `Starter.says`."""
        wanted = "ActiveState,SubState,Result,NRestarts,ExecMainStatus,UnitFileState"
        answer = self.run(["systemctl", "--user", "show", f"--property={wanted}", _unit(name)])
        if answer.code:
            return answer.said
        told = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line)
        words = f"{told.get('ActiveState', '?')} ({told.get('SubState', '?')})"
        if told.get("Result", "success") != "success":
            words += f", {told['Result']} (status {told.get('ExecMainStatus', '?')})"
        if told.get("NRestarts", "0") != "0":
            words += f", started again {told['NRestarts']} times"
        return words if told.get("UnitFileState") == "enabled" else f"{words}, not enabled"

    def remarks(self) -> list[str]:
        """As `Starter.remarks`."""
        answer = self.run(["loginctl", "show-user", self._user, "--property=Linger"])
        if answer.code or answer.out.strip() != "Linger=no":
            return []
        always = f"loginctl enable-linger {self._user}"
        return [f"runs only while you are logged on; to have it run from the start of the machine: {always}"]

    def unit(self, service: Service) -> str:
        """The unit's file."""
        command = [self.python, *PROGRAM, *service.arguments]
        program, *arguments = (_quoted(word) for word in command)
        # A variable is not looked for in the program's own name.
        line = " ".join([program, *(word.replace("$", "$$") for word in arguments)])
        return f"""\
# Made by queuectl service install; queuectl service uninstall removes it.
# {service.mark}

[Unit]
Description={_line(service.about)}
StartLimitIntervalSec=0

[Service]
ExecStart={line}
WorkingDirectory={_line(service.cwd)}
{_environment(kept_variables(self._own))}
Restart=always
RestartSec={_PAUSE}
# The first signal lets commands end; by itself, after {service.patience:.0f} s, it puts back what still runs.
KillMode=mixed
TimeoutStopSec={service.patience + _SPARE:.0f}
SuccessExitStatus=130
# A command for which there is no memory is that command's end, not the workers'.
OOMPolicy=continue

[Install]
WantedBy=default.target
"""


def way_to_manager(own: Mapping[str, str], folder: str) -> dict[str, str]:
    """The variable by which systemctl finds this user's manager, where none is set: in cron, after `su -` or
    `sudo`. `folder` is where it is as a rule; the manager may run all the same.
    """
    return {} if own.get("XDG_RUNTIME_DIR") or not os.path.isdir(folder) else {"XDG_RUNTIME_DIR": folder}


def _unit(name: str) -> str:
    return f"queuectl-{name}.service"


def _call(*words: str, may_fail: bool = False) -> Call:
    return Call(("systemctl", "--user", *words), may_fail=may_fail)


def _environment(variables: Mapping[str, str]) -> str:
    return "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in variables.items())


def _quoted(word: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", _literal(word)) + '"'


def _line(folder: str) -> str:
    """The rest of a line, where a backslash at its end goes on in the next one, and a space is left out."""
    return _literal(folder) + ("/" if folder.endswith(("\\", " ")) else "")


def _literal(text: str) -> str:
    """`text` in which nothing stands for something else (systemd.unit, "Specifiers")."""
    return text.replace("%", "%%")
