"""Task Scheduler: a hidden task of this user's, without a window (Windows).

What it may be made of: MS-TSCH, 2.5. A user who is no administrator may have a task that runs as themselves,
while they are logged on, at their own logon (3.2.5.1.1): so that trigger has to name them.
"""

from __future__ import annotations

import csv
import ntpath
import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Optional
from xml.etree import ElementTree as XML

from queuectl.errors import InvalidInput, QueueError
from queuectl.system.starting import (
    NO_ANSWER,
    NOT_FOUND,
    PROGRAM,
    Call,
    Remove,
    Run,
    Service,
    Starter,
    Step,
    Write,
)

_NAMESPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
_RESULT = 6
"""The column of `schtasks /Query /V` that has the last result; their headings are in the user's language."""
_RESULTS: dict[Optional[int], str] = {
    0: "has ended with 0",
    267009: "runs",  # SCHED_S_TASK_RUNNING
    267010: "is disabled",  # SCHED_S_TASK_DISABLED
    267011: "has never run",  # SCHED_S_TASK_HAS_NOT_RUN
    267014: "was ended by a person",  # SCHED_S_TASK_TERMINATED
    0x8004131F: "was not started once more, since it runs",  # SCHED_E_ALREADY_RUNNING
    # What IgnoreNew says of a second one, too.
    0x800710E0: "was not started once more: it runs, or may not",  # ERROR_REQUEST_REFUSED
    0x80070002: "its program is not there: queuectl service install again",  # ERROR_FILE_NOT_FOUND
    0x8007010B: "the folder that it works in is not there",  # ERROR_DIRECTORY
}
_LONG_AGO = "2020-01-01T00:00:00"


class TaskScheduler(Starter):
    """Of one user."""

    called = "Task Scheduler"
    again = "within a minute"

    def __init__(
        self, run: Run, *, python: str, own: Mapping[str, str], user: str, system_folder: str
    ) -> None:
        """`python` is the program that opens no window, `own` our environment, `user` the SID, or a name, of
        who runs it.
        """
        super().__init__(run, python)
        self._user, self._variables = user, {name.upper() for name in own}
        # In full: else Windows takes one that lies in the current folder.
        self._schtasks = ntpath.join(system_folder, "schtasks.exe")

    def trouble(self) -> Optional[str]:
        """As `Starter.trouble`."""
        # One task, of which nothing is known: to list all of them takes seconds.
        answer = self.run([self._schtasks, "/?"])
        return None if answer.code == 0 else f"Task Scheduler does not answer ({answer.said})"

    def instead(self, argv: Sequence[str], cwd: str) -> str:
        """As `Starter.instead`."""
        line = subprocess.list2cmdline(argv)
        return f"put a shortcut into the folder that Win+R, shell:startup opens: {line}, to start in {cwd}"

    def entry(self, name: str) -> str:
        """As `Starter.entry`."""
        return f"queuectl-{name}"

    def found(self, name: str) -> Optional[str]:
        """As `Starter.found`."""
        answer = self.run([self._schtasks, "/Query", "/TN", self.entry(name), "/XML"])
        if answer.code in (NOT_FOUND, NO_ANSWER):
            # Not to be taken for none: it would be left behind, to be started for ever.
            raise QueueError(answer.said)
        # In the console's code page, by which letters beyond ASCII are lost.
        return None if answer.code or not answer.out else answer.out

    def install(self, service: Service) -> list[Step]:
        """As `Starter.install`."""
        path, task = ntpath.join(service.folder, f"{service.name}.task.xml"), self.entry(service.name)
        return [
            Write(path, self.task(service)),
            Call((self._schtasks, "/Create", "/TN", task, "/XML", path, "/F")),
            Remove(path),
            *self.hasten(service.name),
        ]

    def hasten(self, name: str) -> list[Step]:
        """As `Starter.hasten`."""
        # Where one still runs this does nothing.
        return [Call((self._schtasks, "/Run", "/TN", self.entry(name)), may_fail=True)]

    def forget(self, name: str) -> list[Step]:
        """As `Starter.forget`."""
        return [Call((self._schtasks, "/Delete", "/TN", self.entry(name), "/F"))]

    def says(self, name: str) -> str:
        """As `Starter.says`."""
        answer = self.run([self._schtasks, "/Query", "/TN", self.entry(name), "/FO", "CSV", "/NH", "/V"])
        row = next(csv.reader(answer.out.splitlines()), [])
        if answer.code or len(row) <= _RESULT:
            return answer.said
        return _result(row[_RESULT].strip())

    def task(self, service: Service) -> bytes:
        """The task's file."""
        task = XML.Element("Task", {"version": "1.2", "xmlns": _NAMESPACE})
        about = {"Source": service.mark, "Description": f"{service.about}. Made by queuectl service install."}
        _add(task, "RegistrationInfo", about)
        triggers = _add(task, "Triggers")
        _add(triggers, "LogonTrigger", {"UserId": self._user})
        # What has ended is started again by this one, which finds it running else. RestartOnFailure does not
        # do: people have seen it leave alone what had started well, and it gives up in the end.
        again = _add(triggers, "TimeTrigger", {"StartBoundary": _LONG_AGO})
        _add(again, "Repetition", {"Interval": "PT1M"})
        user = {"UserId": self._user, "LogonType": "InteractiveToken", "RunLevel": "LeastPrivilege"}
        _add(_add(task, "Principals"), "Principal", user).set("id", "Author")
        _add_settings(task)
        actions = _add(task, "Actions")
        actions.set("Context", "Author")
        arguments = subprocess.list2cmdline([*PROGRAM, *service.arguments])
        action = {"Command": self.python, "Arguments": arguments, "WorkingDirectory": service.cwd}
        for text in action.values():
            self._refuse_variables(text)
        _add(actions, "Exec", action)
        XML.indent(task)
        text = XML.tostring(task, encoding="unicode")
        return f'<?xml version="1.0" encoding="UTF-16"?>\n{text}\n'.encode("utf-16")

    def _refuse_variables(self, text: str) -> None:
        # There is no way to have it take them as they are.
        for name in re.findall("(?=%([^%]+)%)", text):
            if name.upper() in self._variables:
                what = f"Task Scheduler takes %{name}% for a variable of the environment, in {text}"
                raise InvalidInput(what, hint="rename that folder")


def _result(text: str) -> str:
    """What the last result means, as `schtasks` prints it: a signed number."""
    code = int(text) & 0xFFFFFFFF if re.fullmatch(r"-?\d+", text) else None
    if code is None or code < 1 << 31:
        return _RESULTS.get(code, f"last result {text}")
    # People look for it as Windows shows it elsewhere.
    return f"{_RESULTS.get(code, 'last result')} (0x{code:08X})"


def _add_settings(task: XML.Element) -> None:
    settings = _add(
        task,
        "Settings",
        {
            "AllowStartOnDemand": "true",
            "MultipleInstancesPolicy": "IgnoreNew",
            "DisallowStartIfOnBatteries": "false",
            "StopIfGoingOnBatteries": "false",
            "StartWhenAvailable": "true",
            "RunOnlyIfNetworkAvailable": "false",
            "Enabled": "true",
            "Hidden": "true",
        },
    )
    _add(settings, "IdleSettings", {"StopOnIdleEnd": "false", "RestartOnIdle": "false"})
    _add(settings, "ExecutionTimeLimit").text = "PT0S"
    # As what a person starts; tasks have 7 otherwise, by which the disk, too, serves them last.
    _add(settings, "Priority").text = "5"


def _add(parent: XML.Element, name: str, children: Optional[dict[str, str]] = None) -> XML.Element:
    made = XML.SubElement(parent, name)
    for child, text in (children or {}).items():
        XML.SubElement(made, child).text = text
    return made
