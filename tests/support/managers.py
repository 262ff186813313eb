"""Task Scheduler, systemd and launchd as far as `queuectl service` speaks to them, without a desktop.

Each takes the calls that the real one takes, reads what was really written for it, and starts real programs
from that, again when they end. What it does not know it refuses.
"""

from __future__ import annotations

import csv
import io
import os
import plistlib
import shlex
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union
from xml.etree import ElementTree as XML

from queuectl.system.launchd import Launchd
from queuectl.system.starting import Answer, Starter
from queuectl.system.systemd import Systemd
from queuectl.system.task_scheduler import TaskScheduler
from tests.support.program import PATIENCE, environment

TASKS = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
OK = Answer(0, "", "")
_PAUSE = 0.05


class Definition(NamedTuple):
    """What is to be started."""

    command: Union[list[str], str]
    cwd: str
    env: dict[str, str]


class Manager:
    """What is common to the three; a `Run`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.calls: list[list[str]] = []
        self.refuses: Optional[str] = None
        """A word: calls that have it fail."""
        self.looks = True
        """Whether it sees to what has ended now; else that is a while off."""
        self.starts = 0
        self.kept: dict[str, Definition] = {}
        """What it starts, and starts again."""
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._guard, self._closed = threading.RLock(), threading.Event()
        self._thread = threading.Thread(target=self._mind, daemon=True)
        self._thread.start()

    def starter(self) -> Starter:
        raise NotImplementedError

    def answer(self, argv: list[str]) -> Answer:
        raise NotImplementedError

    def entries(self) -> list[str]:
        """What is left of services in it, files too."""
        raise NotImplementedError

    def put_another(self, name: str) -> None:
        """Have something that is not ours under the name of this service."""
        raise NotImplementedError

    def __call__(self, argv: Sequence[str]) -> Answer:
        with self._guard:
            self.calls.append(list(argv))
            if self.refuses is not None and self.refuses in argv:
                return Answer(1, "", f"{self.refuses}: refused")
            return self.answer(list(argv))

    def begin(self, name: str) -> None:
        """Start it, unless it runs."""
        with self._guard:
            running = self.processes.get(name)
            if running is not None and running.poll() is None:
                return
            known = self.kept[name]
            self.starts += 1
            self.processes[name] = subprocess.Popen(
                known.command,
                cwd=known.cwd,
                env={**environment(), **known.env},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def _mind(self) -> None:
        while not self._closed.wait(_PAUSE):
            with self._guard:
                for name in list(self.kept) if self.looks else ():
                    self.begin(name)

    def close(self) -> None:
        """End all that it has started."""
        self._closed.set()
        self._thread.join()
        for process in self.processes.values():
            process.kill()
            process.wait(PATIENCE)


class FakeSystemd(Manager):
    """`systemctl --user`."""

    def starter(self) -> Starter:
        own = {"PATH": os.environ["PATH"]}
        return Systemd(self, python=sys.executable, own=own, user="me", home=str(self.home))

    @property
    def folder(self) -> Path:
        return self.home / ".config" / "systemd" / "user"

    def entries(self) -> list[str]:
        return sorted([*self.kept, *(path.name for path in self.folder.glob("*"))])

    def put_another(self, name: str) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / f"queuectl-{name}.service").write_text("[Service]\nExecStart=/bin/true\n")

    def answer(self, argv: list[str]) -> Answer:
        if argv[0] == "loginctl":
            return Answer(0, "Linger=no\n", "")
        assert argv[:2] == ["systemctl", "--user"]
        verb, *words = argv[2:]
        unit = words[-1] if words else ""
        if verb == "daemon-reload":
            for name in list(self.kept):
                if not (self.folder / name).exists():
                    # It runs on, and is not started again.
                    del self.kept[name]
            return OK
        if verb == "show":
            running = unit in self.processes and self.processes[unit].poll() is None
            state = "active" if running else "inactive"
            return Answer(0, f"ActiveState={state}\nSubState=running\nUnitFileState=enabled\n", "")
        if verb in ("enable", "start"):
            if not (self.folder / unit).exists():
                return Answer(1, "", f"Unit {unit} not found.")
            if verb == "start":
                self.kept[unit] = read_unit((self.folder / unit).read_text())
                self.begin(unit)
            return OK
        return OK if verb in ("disable", "stop", "reset-failed") else Answer(1, "", f"unknown: {argv}")


def read_unit(text: str) -> Definition:
    """What a unit says, by systemd's rules of quoting; a backslash at a line's end goes on in the next."""
    told_lines = text.replace("\\\n", " ").splitlines()
    lines = [line.strip().split("=", 1) for line in told_lines if "=" in line and not line.startswith("#")]
    told = {name: value.replace("%%", "%") for name, value in lines}
    words = [word.replace("$$", "$") for word in shlex.split(told["ExecStart"])]
    given = [shlex.split(value.replace("%%", "%"))[0] for name, value in lines if name == "Environment"]
    cwd = told["WorkingDirectory"].rstrip("/")
    return Definition(words, cwd, dict(one.split("=", 1) for one in given))


class FakeLaunchd(Manager):
    """`launchctl`."""

    def starter(self) -> Starter:
        own = {"PATH": os.environ["PATH"]}
        return Launchd(self, python=sys.executable, own=own, user_id=501, home=str(self.home))

    @property
    def folder(self) -> Path:
        return self.home / "Library" / "LaunchAgents"

    def entries(self) -> list[str]:
        return sorted([*self.kept, *(path.name for path in self.folder.glob("*"))])

    def put_another(self, name: str) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / f"queuectl.{name}.plist").write_bytes(plistlib.dumps({"Label": f"queuectl.{name}"}))

    def answer(self, argv: list[str]) -> Answer:
        program, verb, target, *words = argv
        assert program == "launchctl"
        assert target.startswith("gui/501")
        label = target.partition("gui/501/")[2]
        runs = label in self.processes and self.processes[label].poll() is None
        if verb == "print":
            told = f"state = {'running' if runs else 'waiting'}\n\tlast exit code = 0\n"
            known = not label or runs or label in self.kept
            return Answer(0, told, "") if known else Answer(113, "", "not found")
        if verb == "bootout":
            if self.kept.pop(label, None) is None:
                return Answer(3, "", "Boot-out failed: 3: No such process")
            self.processes[label].terminate()
            return OK
        if verb == "bootstrap":
            told = plistlib.loads(Path(words[0]).read_bytes())
            label = told["Label"]
            if label in self.processes and self.processes[label].poll() is None:
                return Answer(5, "", "Bootstrap failed: 5: Input/output error")
            env = told["EnvironmentVariables"]
            self.kept[label] = Definition(told["ProgramArguments"], told["WorkingDirectory"], env)
            self.begin(label)
            return OK
        return OK if verb == "enable" else Answer(1, "", f"unknown: {argv}")


class FakeTaskScheduler(Manager):
    """`schtasks.exe`; it looks every moment what is to be started, not every minute."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.tasks: dict[str, str] = {}

    def starter(self) -> Starter:
        user, folder = "S-1-5-21-1", "C:\\Windows"
        return TaskScheduler(self, python=sys.executable, own=os.environ, user=user, system_folder=folder)

    def entries(self) -> list[str]:
        return sorted(self.tasks)

    def put_another(self, name: str) -> None:
        self.tasks[f"queuectl-{name}"] = "<Task/>"

    def answer(self, argv: list[str]) -> Answer:
        assert argv[0] == "C:\\Windows\\schtasks.exe"
        verb, *words = argv[1:]
        if verb == "/?":
            return OK
        options = {word: words[words.index(word) + 1] for word in ("/TN", "/XML") if word in words[:-1]}
        task = options["/TN"]
        if verb == "/Create":
            text = Path(options["/XML"]).read_bytes().decode("utf-16")
            self.tasks[task], self.kept[task] = text, read_task(text)
            return OK
        if task not in self.tasks:
            return Answer(1, "", "ERROR: The system cannot find the file specified.")
        if verb == "/Query":
            row = ["PC", f"\\{task}", "N/A", "Running", "Interactive only", "30.11.2026", "267009", "me"]
            line = io.StringIO()
            csv.writer(line).writerow(row)
            return Answer(0, self.tasks[task] if "/XML" in words else line.getvalue(), "")
        if verb == "/Delete":
            del self.tasks[task]
            self.kept.pop(task, None)
        elif verb == "/Run":
            self.begin(task)
        return OK if verb in ("/Delete", "/Run") else Answer(1, "", f"unknown: {argv}")


def read_task(text: str) -> Definition:
    """What a task says; on Windows its command line is that of the system's own rules."""
    action = XML.fromstring(text.partition("?>")[2]).find(f"{TASKS}Actions/{TASKS}Exec")
    assert action is not None
    program, arguments, cwd = (
        action.findtext(f"{TASKS}{name}", "") for name in ("Command", "Arguments", "WorkingDirectory")
    )
    if sys.platform == "win32":
        return Definition(f'"{program}" {arguments}', cwd, {})
    return Definition([program, *shlex.split(arguments.replace("\\", "\\\\"))], cwd, {})
