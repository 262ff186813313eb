"""What is written for Task Scheduler, systemd and launchd, and how their answers are read."""

from __future__ import annotations

import os
import plistlib
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional
from xml.etree import ElementTree as XML

import pytest

from queuectl.errors import InvalidInput, QueueError
from queuectl.system.launchd import Launchd
from queuectl.system.starter import starter
from queuectl.system.starting import (
    NO_ANSWER,
    PROGRAM,
    Answer,
    Call,
    Remove,
    Run,
    Service,
    Starter,
    Write,
    can_be_told,
    kept_variables,
    run_program,
    shown,
)
from queuectl.system.systemd import Systemd, way_to_manager
from queuectl.system.task_scheduler import TaskScheduler
from tests.support.managers import TASKS, read_task, read_unit

NASTY = "a b\\ \"c\" 100% %n $HOME ${PATH} 'd' ä"
"""What a folder may be called somewhere, and means something to one of the three."""
SERVICE = Service(
    name="jobs-1a2b3c",
    mark="queuectl-service jobs-1a2b3c of 0123456789ab",
    about=f"queuectl: workers on /home/me/{NASTY}/spool",
    arguments=("--spool", f"/home/me/{NASTY}/spool", "worker", "start", "--count", "2"),
    cwd=f"/home/me/{NASTY}",
    folder="/home/me/spool/service",
    patience=60.0,
)
OWN = {"PATH": f"/usr/bin:/home/me/{NASTY}/bin", "LANG": "C.UTF-8", "API_TOKEN": "secret", "PYTHONPATH": ""}


def answering(code: int = 0, out: str = "", err: str = "") -> Run:
    return lambda argv: Answer(code, out, err)


FINE = answering()


def systemd(run: Run = FINE, python: str = sys.executable) -> Systemd:
    return Systemd(run, python=python, own=OWN, user="me", home="/home/me")


def launchd(run: Run = FINE) -> Launchd:
    return Launchd(run, python="/opt/venv/bin/python", own=OWN, user_id=501, home="/Users/me")


def task_scheduler(run: Run = FINE) -> TaskScheduler:
    python = r"C:\Program Files\Python\pythonw.exe"
    user, folder = "S-1-5-21-1-2-3-1001", r"C:\Windows\System32"
    return TaskScheduler(run, python=python, own={"Temp": "x"}, user=user, system_folder=folder)


EACH = [systemd, launchd, task_scheduler]


@pytest.mark.parametrize("made", [systemd(), launchd(), task_scheduler()], ids=lambda one: one.called)
class TestEach:
    def test_what_is_written_has_our_mark_and_no_secret(self, made: Starter) -> None:
        (written,) = (step for step in made.install(SERVICE) if isinstance(step, Write))
        text = shown(written.data)
        assert SERVICE.mark in text
        assert "API_TOKEN" not in text
        assert "PYTHONPATH" not in text, "what is empty is left out"

    def test_what_install_writes_uninstall_removes(self, made: Starter) -> None:
        left = set[str]()
        for step in [*made.install(SERVICE), *made.forget(SERVICE.name), *made.clear(SERVICE.name)]:
            if isinstance(step, Write):
                left.add(step.path)
            elif isinstance(step, Remove):
                left.discard(step.path)
        assert left == set()

    def test_calls_name_the_service_and_what_may_not_be_asked_of_a_shell(self, made: Starter) -> None:
        calls = [step for step in made.install(SERVICE) if isinstance(step, Call)]
        assert any(SERVICE.name in word for call in calls for word in call.argv)
        assert "-m queuectl worker" in made.instead([made.python, "-m", "queuectl", "worker"], "/a b")


class TestSystemd:
    def test_the_unit_starts_exactly_that(self) -> None:
        known = read_unit(systemd().unit(SERVICE))
        assert known.command == [sys.executable, *PROGRAM, *SERVICE.arguments]
        assert known.cwd == SERVICE.cwd
        assert known.env == {"PATH": OWN["PATH"], "LANG": "C.UTF-8"}

    @pytest.mark.parametrize("end", ["\\", " ", "\\ ", "%"])
    def test_a_folder_whose_end_would_go_on_in_the_next_line_or_be_left_out(self, end: str) -> None:
        unit = systemd().unit(SERVICE._replace(cwd=f"/a{end}", about=f"queuectl: workers on /b{end}"))
        assert read_unit(unit).cwd == f"/a{end}"
        assert "LANG" in read_unit(unit).env
        assert not re.search(r"(?m)[\\ ]$", unit)

    def test_its_file_is_where_systemd_looks(self) -> None:
        for config, folder in [
            ("/etc/mine", "/etc/mine"),
            ("", "/home/me/.config"),
            ("relative", "/home/me/.config"),
        ]:
            made = Systemd(FINE, python="python", own={"XDG_CONFIG_HOME": config}, user="me", home="/home/me")
            assert made.entry("x").replace("\\", "/") == f"{folder}/systemd/user/queuectl-x.service"

    def test_the_manager_is_found_where_nothing_tells_where_it_is(self, tmp_path: Path) -> None:
        there, nowhere = str(tmp_path), str(tmp_path / "nowhere")
        assert way_to_manager({}, there) == {"XDG_RUNTIME_DIR": there}
        assert way_to_manager({"XDG_RUNTIME_DIR": ""}, there) == {"XDG_RUNTIME_DIR": there}
        assert way_to_manager({}, nowhere) == {}
        assert way_to_manager({"XDG_RUNTIME_DIR": "/run/user/7"}, there) == {}

    def test_what_is_left_of_a_unit_that_somebody_has_deleted_is_removed(self) -> None:
        calls = [step.argv[2:] for step in systemd().clear("x") if isinstance(step, Call)]
        assert ("disable", "queuectl-x.service") in calls

    def test_it_is_started_again_and_given_longer_than_it_takes_to_end(self) -> None:
        lines = systemd().unit(SERVICE).splitlines()
        for line in ("Restart=always", "KillMode=mixed", "TimeoutStopSec=90", "WantedBy=default.target"):
            assert line in lines
        assert "StartLimitIntervalSec=0" in lines, "it does not give up"

    @pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
    def test_systemd_accepts_it(self, tmp_path: Path) -> None:
        def complaints(unit: str) -> str:
            path = tmp_path / "queuectl-jobs.service"
            path.write_text(unit)
            argv = ["systemd-analyze", "verify", "--user", "--man=no", str(path)]
            done = subprocess.run(
                argv, capture_output=True, text=True, env={"XDG_RUNTIME_DIR": str(tmp_path)}
            )
            return "\n".join(line for line in done.stderr.splitlines() if path.name in line)

        unit = systemd().unit(SERVICE)
        assert complaints(unit) == ""
        assert "Restrat" in complaints(unit.replace("Restart=", "Restrat=")), "the control"

    def test_what_it_says_of_a_unit(self) -> None:
        told = ["ActiveState=activating", "SubState=auto-restart", "Result=exit-code", "ExecMainStatus=203"]
        lines = "\n".join([*told, "NRestarts=7", "UnitFileState=enabled"])
        says = systemd(answering(out=lines)).says("x")
        assert says == "activating (auto-restart), exit-code (status 203), started again 7 times"
        assert (
            systemd(answering(out="ActiveState=active\nSubState=running\n")).says("x").endswith("not enabled")
        )
        assert systemd(answering(1, err="No bus\n")).says("x") == "No bus"

    def test_where_no_manager_of_the_user_answers(self) -> None:
        found = systemd(answering(1, err="Failed to connect to bus: No medium found")).trouble()
        assert found == "no systemd of this user answers (Failed to connect to bus: No medium found)"
        assert systemd().trouble() is None

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (Answer(0, "Linger=no\n", ""), True),
            (Answer(0, "Linger=yes\n", ""), False),
            (Answer(1, "", ""), False),
        ],
    )
    def test_it_tells_of_lingering_where_that_is_off(self, answer: Answer, told: bool) -> None:
        remarks = systemd(lambda argv: answer).remarks()
        assert ["enable-linger me" in line for line in remarks] == [True] * told


class TestLaunchd:
    def test_the_agent_is_a_property_list_that_starts_exactly_that(self) -> None:
        known = plistlib.loads(launchd().agent(SERVICE))
        assert known["ProgramArguments"] == ["/opt/venv/bin/python", *PROGRAM, *SERVICE.arguments]
        assert known["Label"] == "queuectl.jobs-1a2b3c"
        assert known["WorkingDirectory"] == SERVICE.cwd
        assert known["EnvironmentVariables"] == {"PATH": OWN["PATH"], "LANG": "C.UTF-8"}
        assert known["RunAtLoad"] is known["KeepAlive"] is True
        assert known["ExitTimeOut"] == 90
        assert known["ProcessType"] == "Interactive", "launchd holds others back"

    def test_the_name_of_one_that_ends_is_waited_for(self) -> None:
        calls = [step for step in launchd().install(SERVICE) if isinstance(step, Call)]
        assert [call.argv[1] for call in calls] == ["bootout", "print", "enable", "bootstrap"]
        assert calls[1].to_fail
        assert calls[1].patience > SERVICE.patience
        path = os.path.join("/Users/me", "Library", "LaunchAgents", "queuectl.jobs-1a2b3c.plist")
        assert calls[-1].argv[2:] == ("gui/501", path)

    def test_what_it_says_of_an_agent(self) -> None:
        out = "gui/501/queuectl.x = {\n\tstate = running\n\n\tpid = 7\n\tlast exit code = 78: EX_CONFIG\n}\n"
        assert launchd(answering(out=out)).says("x") == "running, last exit code 78: EX_CONFIG"
        assert launchd(answering(113)).says("x") == "not loaded"


class TestTaskScheduler:
    def task(self) -> XML.Element:
        data = task_scheduler().task(SERVICE)
        assert data[:2] in (b"\xff\xfe", b"\xfe\xff"), "its mark"
        text = data.decode("utf-16")
        assert text.startswith('<?xml version="1.0" encoding="UTF-16"?>')
        # As any parser reads it, by its mark and its heading.
        return XML.fromstring(data)

    def text(self, path: str) -> Optional[str]:
        return self.task().findtext("/".join(f"{TASKS}{name}" for name in path.split("/")))

    def test_it_is_of_this_user_at_their_own_logon_as_a_plain_user(self) -> None:
        for path in ("Triggers/LogonTrigger/UserId", "Principals/Principal/UserId"):
            assert self.text(path) == "S-1-5-21-1-2-3-1001"
        assert self.text("Principals/Principal/LogonType") == "InteractiveToken"
        assert self.text("Principals/Principal/RunLevel") == "LeastPrivilege"

    def test_it_runs_on_and_is_started_again(self) -> None:
        settings = {name: self.text(f"Settings/{name}") for name in ("Hidden", "ExecutionTimeLimit")}
        assert settings == {"Hidden": "true", "ExecutionTimeLimit": "PT0S"}
        for name in ("DisallowStartIfOnBatteries", "StopIfGoingOnBatteries", "IdleSettings/StopOnIdleEnd"):
            assert self.text(f"Settings/{name}") == "false"
        assert self.text("Settings/MultipleInstancesPolicy") == "IgnoreNew"
        assert self.text("Triggers/TimeTrigger/Repetition/Interval") == "PT1M"
        assert self.text("Triggers/TimeTrigger/Repetition/Duration") is None, "for ever"

    def test_its_elements_are_in_the_order_of_the_schema(self) -> None:
        """MS-TSCH 2.5.3.1: those of a trigger are a sequence; the others may come in any order."""
        base = ["Enabled", "StartBoundary", "EndBoundary", "Repetition", "ExecutionTimeLimit"]
        orders = {"LogonTrigger": [*base, "UserId", "Delay"], "TimeTrigger": [*base, "RandomDelay"]}
        for trigger in self.task().iterfind(f"{TASKS}Triggers/*"):
            names = [child.tag.removeprefix(TASKS) for child in trigger]
            order = orders[trigger.tag.removeprefix(TASKS)]
            assert names == [name for name in order if name in names]

    def test_it_starts_exactly_that(self) -> None:
        known = read_task(task_scheduler().task(SERVICE).decode("utf-16"))
        assert known.cwd == SERVICE.cwd
        arguments = split(self.text("Actions/Exec/Arguments") or "")
        assert arguments == [*PROGRAM, *SERVICE.arguments]
        assert self.text("Actions/Exec/Command") == r"C:\Program Files\Python\pythonw.exe"

    def test_its_result_is_read_in_whatever_language(self) -> None:
        row = (
            '"PC","\\queuectl-x","Nicht zutreffend","Wird ausgeführt","Nur interaktiv","30.11.2026","{}"\r\n'
        )
        for result, says in [
            ("267009", "runs"),
            ("1", "last result 1"),
            ("N/A", "last result N/A"),
            ("-1073741510", "last result (0xC000013A)"),
            ("-2147024894", "its program is not there: queuectl service install again (0x80070002)"),
            ("2147942402", "its program is not there: queuectl service install again (0x80070002)"),
            ("-2147216609", "was not started once more, since it runs (0x8004131F)"),
        ]:
            assert task_scheduler(answering(out=row.format(result))).says("x") == says
        assert (
            task_scheduler(answering(1, err="FEHLER: nicht gefunden")).says("x") == "FEHLER: nicht gefunden"
        )

    @pytest.mark.parametrize("cwd", [r"C:\50%TEMP%", r"C:\a%b%temp%", r"C:\%%Temp%"])
    def test_what_it_would_take_for_a_variable_is_refused(self, cwd: str) -> None:
        with pytest.raises(InvalidInput, match="for a variable of the environment") as told:
            task_scheduler().task(SERVICE._replace(cwd=cwd))
        assert "rename" in str(told.value.hint)

    @pytest.mark.parametrize("cwd", [r"C:\100%", r"C:\%TEMPO%", r"C:\5% or 7%", r"C:\%%", r"C:\TEMP%TEMP"])
    def test_other_signs_of_that_kind_are_not(self, cwd: str) -> None:
        assert read_task(task_scheduler().task(SERVICE._replace(cwd=cwd)).decode("utf-16")).cwd == cwd

    def test_no_answer_is_not_taken_for_no_task(self) -> None:
        with pytest.raises(QueueError, match="has not ended"):
            task_scheduler(answering(NO_ANSWER, err="schtasks.exe has not ended within 120 s")).found("x")
        assert task_scheduler(answering(1, err="ERROR: not found")).found("x") is None


def split(line: str) -> list[str]:
    """A Windows command line as its program takes it apart (Parsing C command-line arguments)."""
    words, word, quoted, position = list[str](), "", False, 0
    while position < len(line):
        slashes = re.compile(r"\\*").match(line, position)
        assert slashes is not None
        position, count = slashes.end(), len(slashes[0])
        if line[position : position + 1] == '"':
            word += "\\" * (count // 2)
            if count % 2:
                word += '"'
            else:
                quoted = not quoted
            position += 1
            continue
        word += "\\" * count
        letter = line[position : position + 1]
        position += 1
        if letter == " " and not quoted:
            words.append(word)
            word = ""
        else:
            word += letter
    return [*words, word]


def test_of_a_variable_is_kept_what_can_be_told() -> None:
    own = {"PATH": "/a:/caf\udce9:/b\nExecStart=/bin/sh:/c", "LANG": "\udce9", "TZ": ":Europe/Berlin"}
    assert kept_variables(own) == {"PATH": "/a:/c", "TZ": ":Europe/Berlin"}


@pytest.mark.parametrize(
    "letter", ["\n", "\0", "\x1b", "\x7f", "\x85", "\udcff", "\ufdd0", "\ufffe", "\U0001ffff"]
)
def test_what_cannot_be_told_to_each_of_them(letter: str) -> None:
    assert not can_be_told(f"a{letter}b")
    assert can_be_told(NASTY)


def test_a_program_is_run_with_more_variables_than_ours() -> None:
    code = "import os; print(os.environ['MORE'], 'PATH' in os.environ)"
    assert run_program([sys.executable, "-c", code], {"MORE": "x"}).out.split() == ["x", "True"]


def test_a_program_that_is_not_there_is_an_answer() -> None:
    answer = run_program(["queuectl-no-such-program"])
    assert answer.code != 0
    assert "queuectl-no-such-program" in answer.said


def test_what_a_program_prints_is_read() -> None:
    code = "import sys; sys.stdout.buffer.write('mark'.encode('utf-16')); sys.stderr.write('b'); sys.exit(3)"
    answer = run_program([sys.executable, "-c", code])
    assert (answer.code, answer.err) == (3, "b")
    assert "mark" in answer.out


def test_this_system_has_one() -> None:
    asked: list[Sequence[str]] = []

    def run(argv: Sequence[str]) -> Answer:
        asked.append(argv)
        return Answer(1, "", "no")

    made = starter(run)
    assert made.trouble()
    assert len(asked) == 1
    assert made.python.startswith(sys.prefix[:1])
