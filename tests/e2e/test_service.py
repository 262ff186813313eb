"""Workers that the system starts: they are there, come again when they die, and go without a trace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

import pytest

from queuectl import duty
from tests.support.commandline import CommandLine
from tests.support.ledger import Ledger
from tests.support.managers import FakeLaunchd, FakeSystemd, FakeTaskScheduler, Manager
from tests.support.program import PATIENCE, WINDOWS, environment, wipe
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

KINDS = [FakeTaskScheduler] if WINDOWS else [FakeTaskScheduler, FakeSystemd, FakeLaunchd]
TASK = """
from queuectl import Queue

queue = Queue()


@queue.task
def greet():
    print("hello")
"""


class Desk:
    """A user's session with a manager of services, and the command line in it."""

    def __init__(self, cli: CommandLine, manager: Manager) -> None:
        self.cli, self.manager, self.spool = cli, manager, cli.spool

    @property
    def name(self) -> str:
        return duty.default_name(str(self.spool))

    def report(self, *options: str) -> Any:
        """The only service's, whatever the exit code says."""
        (report,) = json.loads(self.cli("service", "status", "--json", *options).out)
        return report

    def lives(self, workers: int = 1, *, besides: Optional[int] = None) -> bool:
        """Whether so many live, in another process than that one."""
        report = self.report()
        return len(report["workers"]) == workers and report["pid"] != besides

    def end(self, number: int = getattr(signal, "SIGKILL", signal.SIGTERM)) -> None:
        """Kill the service's program."""
        os.kill(self.report()["pid"], number)

    def wait_in(self, folder: str, job_id: str) -> None:
        path = self.spool / folder / f"{job_id}.json"
        wait_until(path.exists, f"{job_id} lies in {folder}", PATIENCE)

    def log(self, name: Optional[str] = None) -> str:
        return (self.spool / "service" / f"{name or self.name}.log").read_text(encoding="utf-8")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    here = tmp_path / "my jobs"
    here.mkdir()
    return CommandLine(here, monkeypatch, capsys)


def session(
    kind: type[Manager], cli: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    manager = kind(home)
    monkeypatch.setattr("queuectl.system.starter.starter", manager.starter)
    # A machine that runs tests is busy.
    monkeypatch.setattr("queuectl.service.START_PATIENCE", PATIENCE)
    try:
        yield Desk(cli, manager)
    finally:
        manager.close()


@pytest.fixture(params=KINDS)
def each(
    request: pytest.FixtureRequest, cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    yield from session(request.param, cli, tmp_path, monkeypatch)


@pytest.fixture
def desk(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    yield from session(KINDS[-1] if WINDOWS else FakeSystemd, cli, tmp_path, monkeypatch)


def test_workers_are_there_once_it_is_installed_and_nothing_is_left_of_it_in_the_end(each: Desk) -> None:
    said = each.cli.ok("service", "install", "--count", "2").err
    assert "installed the service" in said
    assert "2 of its workers run" in said
    each.cli.drop("hi.json", {"command": [sys.executable, "-c", "print(1)"]})
    each.wait_in("done", "hi")
    assert each.cli.ok("service", "status").code == 0
    report = each.report()
    assert (report["installed"], report["running"], report["wanted"]) == (True, True, 2)
    assert report["workers"] == [row["name"] for row in each.cli.json("worker", "list")]
    assert report["last_exit"] is None
    assert report["cwd"] == str(each.cli.here)
    for line in ("worker 1  started", "worker 2  started", "hi  completed"):
        assert line in each.log(), "whichever process it is of"
    each.cli.ok("service", "uninstall")
    assert each.manager.entries() == []
    assert each.cli.json("worker", "list") == []
    assert sorted(os.listdir(each.spool / "service")) == [f"{each.name}.log"]
    assert each.cli("service", "status").code == 1
    assert "no service" in each.cli.fails(1, "service", "uninstall")


def test_workers_that_die_come_again_and_so_does_their_job(each: Desk, ledger: Ledger) -> None:
    each.cli.ok("service", "install")
    each.cli.ok("config", "set", "backoff_base", "0")
    each.cli.drop("job.json", ledger.job("job", "hold"))
    ledger.wait_started("job")
    before = each.report()["pid"]
    each.end()
    wait_until(lambda: each.lives(besides=before), "another has come", PATIENCE)
    assert each.report()["last_exit"] == {"at": None, "exit_code": None, "error": duty.KILLED.error}
    ledger.let_go("job")
    each.wait_in("done", "job")
    assert each.cli.record("done", "job")["crashes"] == 1
    each.cli.ok("service", "uninstall")


def test_installed_again_it_is_another_and_what_runs_is_finished(each: Desk, ledger: Ledger) -> None:
    each.cli.ok("service", "install")
    each.cli.drop("job.json", ledger.job("job", "hold"))
    ledger.wait_started("job")
    if isinstance(each.manager, FakeLaunchd):
        # It waits until the name is free.
        ledger.let_go("job")
    said = each.cli.ok("service", "install", "--count", "2").err
    assert "replaced the service" in said
    ledger.let_go("job")
    each.wait_in("done", "job")
    assert each.cli.record("done", "job")["crashes"] == 0
    wait_until(lambda: each.lives(2), "two have come", PATIENCE)
    assert each.report()["last_exit"]["exit_code"] == 0
    each.cli.ok("service", "uninstall")
    assert each.manager.entries() == []


def test_where_the_next_look_is_a_while_off_those_of_now_start_at_once(
    cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Task Scheduler looks once a minute."""
    for desk in session(FakeTaskScheduler, cli, tmp_path, monkeypatch):
        desk.manager.looks = False
        desk.cli.ok("service", "install")
        said = desk.cli.ok("service", "install", "--count", "2").err
        assert "2 of its workers run" in said
        desk.cli.ok("service", "uninstall")


def test_uninstall_waits_for_what_runs_and_leaves_other_workers_alone(desk: Desk, ledger: Ledger) -> None:
    desk.cli.ok("service", "install")
    desk.cli.drop("job.json", ledger.job("job", "hold"))
    ledger.wait_started("job")
    other = subprocess.Popen(
        [sys.executable, "-m", "queuectl", "--spool", str(desk.spool), "worker", "start", "--quiet"],
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: len(desk.cli.json("worker", "list")) == 2, "another has come", PATIENCE)
        leaving = subprocess.Popen(
            [sys.executable, "-c", UNINSTALL, str(desk.spool), desk.name],
            env=environment(),
            stderr=subprocess.PIPE,
        )
        stderr = leaving.stderr
        assert stderr is not None
        with stderr:
            assert stderr.readline().split() == [b"waits", b"job"]
            assert leaving.poll() is None
            ledger.let_go("job")
            assert leaving.wait(PATIENCE) == 0
        desk.wait_in("done", "job")
        assert [row["pid"] for row in desk.cli.json("worker", "list")] == [other.pid] or WINDOWS
        assert len(desk.cli.json("worker", "list")) == 1
    finally:
        desk.cli.ok("worker", "stop")
        other.wait(PATIENCE)


UNINSTALL = """
import sys
from queuectl.service import Services
from queuectl.system.starting import Answer
from queuectl.system.systemd import Systemd
starter = Systemd(lambda argv: Answer(0, "", ""), python=sys.executable, own={}, user="me", home=sys.argv[1])
said = lambda what: print("waits", what, file=sys.stderr, flush=True)
Services(sys.argv[1], starter).uninstall(sys.argv[2], kill=False, waits=said)
"""
"""By a systemd that knows nothing of it any more, as after an uninstall that was cut short."""


def test_what_still_runs_is_killed_at_no_cost_where_that_is_asked(desk: Desk, ledger: Ledger) -> None:
    desk.cli.ok("service", "install")
    desk.cli.drop("job.json", ledger.job("job", "hold"))
    ledger.wait_started("job")
    desk.cli.ok("service", "uninstall", "--now")
    assert (desk.spool / "pending" / "job.json").exists()
    assert desk.cli.json("show", "job")["attempts"] == 0


def test_what_bears_names_of_pythons_own_in_the_folder_it_works_in_is_no_trouble(each: Desk) -> None:
    for name in ("types", "queue", "logging", "click", "msgspec", "queuectl"):
        (each.cli.here / f"{name}.py").write_text("raise SystemExit('not this one')")
    each.cli.ok("service", "install")
    assert each.lives()
    each.cli.ok("service", "uninstall")


def test_one_whose_entry_somebody_has_deleted_is_installed_again_and_those_of_before_end(desk: Desk) -> None:
    desk.cli.ok("service", "install")
    before = desk.report()["pid"]
    if isinstance(desk.manager, FakeSystemd):
        Path(desk.report()["entry"]).unlink()
    elif isinstance(desk.manager, FakeTaskScheduler):
        desk.manager.tasks.clear()
    assert "has it no more" in " ".join(desk.report()["problems"])
    desk.cli.ok("service", "install", "--count", "2")
    wait_until(lambda: desk.lives(2, besides=before), "the new ones have come", PATIENCE)
    desk.cli.ok("service", "uninstall")
    assert desk.manager.entries() == []


def test_what_it_cannot_be_started_without_is_missed_by_status(desk: Desk, tmp_path: Path) -> None:
    desk.cli.ok("service", "install")
    record = desk.spool / "service" / f"{desk.name}.json"
    for key, told in (("cwd", "the folder that it works in"), ("python", "the Python that it is started by")):
        assert "is gone" not in " ".join(desk.report()["problems"])
        kept = record.read_text()
        gone = str(tmp_path / "gone")
        record.write_text(json.dumps({**json.loads(kept), key: gone}))
        assert f"{told} is gone: {gone}" in " ".join(desk.report()["problems"])
        record.write_text(kept)
    desk.cli.ok("service", "uninstall")


def test_a_spool_may_have_several(desk: Desk) -> None:
    desk.cli.ok("service", "install", "--name", "one")
    desk.cli.ok("service", "install", "--name", "two", "--count", "2")
    reports = json.loads(desk.cli.ok("service", "status", "--json").out)
    assert [(one["service"], len(one["workers"])) for one in reports] == [("one", 1), ("two", 2)]
    assert "--name one, or two" in desk.cli.fails(2, "service", "uninstall")
    desk.cli.ok("service", "uninstall", "--name", "one")
    assert len(desk.cli.json("worker", "list")) == 2
    assert "there are: two" in desk.cli.fails(1, "service", "uninstall", "--name", "one")
    desk.cli.ok("service", "uninstall")
    assert desk.manager.entries() == []


def test_two_spools_of_the_same_name_do_not_meet(desk: Desk) -> None:
    desk.cli.ok("service", "install")
    os.makedirs("elsewhere")
    desk.cli.ok("--spool", "elsewhere/spool", "service", "install")
    assert len({*desk.manager.entries()}) == 2
    # By name it would take the place of the other's.
    line = desk.cli.fails(4, "--spool", "elsewhere/spool", "service", "install", "--name", desk.name)
    assert "left alone" in line
    desk.cli.ok("service", "uninstall")
    desk.cli.ok("--spool", "elsewhere/spool", "service", "status")
    desk.cli.ok("--spool", "elsewhere/spool", "service", "uninstall")


def test_what_is_not_ours_is_left_alone(each: Desk) -> None:
    each.manager.put_another(each.name)
    before = each.manager.entries()
    assert "left alone" in each.cli.fails(4, "service", "install")
    assert "left alone" in each.cli.fails(4, "service", "uninstall")
    assert each.manager.entries() == before
    assert not each.spool.exists()
    assert "something else" in " ".join(each.report()["problems"])


def test_a_dry_run_shows_all_of_it_and_does_nothing(each: Desk) -> None:
    said = each.cli.ok(
        "service", "install", "--count", "3", "--tasks", "work", "--trust-writers", "--dry-run"
    )
    for word in ("write ", "call ", "--tasks", "work", "--trust-writers", each.name, str(each.spool)):
        assert word in said.out
    assert each.manager.calls == []
    assert list(each.cli.here.iterdir()) == []


@pytest.mark.skipif(WINDOWS, reason="modes")
def test_a_spool_that_others_may_write_to_is_refused_and_status_says_so(desk: Desk) -> None:
    desk.cli.ok("init")
    (desk.spool / "pending").chmod(0o777)
    assert "others may write" in desk.cli.fails(7, "service", "install")
    assert desk.manager.entries() == []
    (desk.spool / "pending").chmod(0o700)
    desk.cli.ok("service", "install")
    assert desk.cli.ok("service", "status").code == 0
    (desk.spool / "pending").chmod(0o777)
    desk.end()
    wait_until(lambda: "others may write" in desk.log(), "it is in the log", PATIENCE)
    result = desk.cli("service", "status")
    assert result.code == 1
    assert "its workers refuse to run: others may write" in result.out
    wait_until(lambda: (desk.report()["last_exit"] or {})["exit_code"] == 7, "so it has ended", PATIENCE)
    # Those that are to run what others give do.
    desk.cli.ok("service", "install", "--trust-writers")
    assert desk.report()["problems"] == desk.manager.starter().remarks()
    desk.cli.ok("service", "uninstall")


def test_a_module_that_is_not_there_is_told_by_install_and_in_the_log(desk: Desk) -> None:
    line = desk.cli("service", "install", "--tasks", "nowhere")
    assert line.code == 1
    assert "no worker of it runs: there is no module 'nowhere' here" in line.err
    assert "there is no module 'nowhere' here" in desk.log()
    (desk.cli.here / "nowhere.py").write_text(TASK)
    wait_until(desk.lives, "it is found in the folder that it was installed in", PATIENCE)
    desk.cli.ok("service", "uninstall")


def test_what_is_started_when_it_was_uninstalled_or_its_spool_is_gone_makes_nothing(desk: Desk) -> None:
    arguments = ["worker", "start", "--log-file", str(desk.spool / "service" / "x.log"), "--service", "x"]
    assert "not installed" in desk.cli.fails(1, *arguments)
    assert not desk.spool.exists()
    desk.cli.ok("service", "install")
    desk.cli.ok("worker", "stop")
    desk.manager.kept.clear()
    wait_until(lambda: not desk.lives(), "it has stopped", PATIENCE)
    wipe(desk.spool)
    assert desk.report()["installed"] is False
    desk.cli.ok("service", "uninstall")
    assert desk.manager.entries() == []
    assert not desk.spool.exists()


def test_a_refusal_in_the_middle_leaves_nothing(each: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("queuectl.system.launchd._SETTLE", 0.1)
    verbs = {FakeTaskScheduler: "/Create", FakeSystemd: "enable", FakeLaunchd: "bootstrap"}
    each.cli.ok("init")
    each.manager.refuses = verbs[type(each.manager)]
    assert "refused" in each.cli.fails(1, "service", "install")
    assert each.manager.entries() == []
    assert not (each.spool / "service").exists()
    each.manager.refuses = None
    each.cli.ok("service", "install")
    each.manager.refuses = verbs[type(each.manager)]
    assert "refused" in each.cli("service", "install", "--count", "2").err
    each.manager.refuses = None
    assert each.report()["installed"], "what was there is not taken away"
    assert not list((each.spool / "service").glob("*.xml"))
    each.cli.ok("service", "uninstall")
    assert each.manager.entries() == []


def test_where_no_manager_answers_it_is_told_what_to_do(desk: Desk) -> None:
    desk.manager.refuses = "/?" if isinstance(desk.manager, FakeTaskScheduler) else "show"
    line = desk.cli.fails(1, "service", "install", "--count", "2")
    assert "worker start --count 2" in line
    assert ("shell:startup" if WINDOWS else "@reboot cd") in line
    assert not desk.spool.exists()
    assert desk.cli("service", "status").code == 1


def test_worker_stop_says_that_they_come_again(desk: Desk) -> None:
    desk.cli.ok("service", "install")
    starts = desk.manager.starts
    assert f"the service {desk.name} starts its own again" in desk.cli.ok("worker", "stop").err
    wait_until(lambda: desk.manager.starts > starts and desk.lives(), "they have", PATIENCE)
    desk.cli.ok("service", "uninstall")


@pytest.mark.parametrize(
    "name",
    ["-x", "a b", "a/b", "..", "", "x" * 61, "ä", "a.b", "a\nb", "$(x)", "a--b", "nul", "Com1"],
    ids=ascii,
)
def test_a_name_that_not_every_system_takes_is_refused(desk: Desk, name: str) -> None:
    for verb in ("install", "uninstall"):
        assert "cannot be called" in desk.cli.fails(2, "service", verb, f"--name={name}")
    assert desk.manager.calls == []


PYTHONW = """
import sys
sys.stdout = sys.stderr = None
from queuectl.cli import main
main(sys.argv[1:])
"""
"""What a program without a console begins with (Windows: pythonw)."""


def test_without_standard_streams_all_is_logged_what_tasks_print_too(cli: CommandLine) -> None:
    cli.ok("init")
    (cli.here / "work.py").write_text(TASK)
    log = cli.here / "w.log"
    subprocess.run(
        [sys.executable, "-c", "from work import greet\ngreet.enqueue()"],
        cwd=cli.here,
        env=environment(QUEUECTL_SPOOL=str(cli.spool)),
        check=True,
    )
    for arguments in (["--tasks", "work"], ["--tasks", "missing"]):
        done = subprocess.run(
            [sys.executable, "-c", PYTHONW, "worker", "start", "--drain", "--log-file", str(log), *arguments],
            cwd=cli.here,
            env=environment(),
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )
        assert done.returncode == (0 if "work" in arguments else 2)
    (job,) = cli.json("list")
    assert job["state"] == "completed"
    assert "hello" in (cli.spool / "logs" / f"{job['id']}.log").read_text()
    told = log.read_text(encoding="utf-8")
    assert f"{job['id']}  completed" in told
    assert "there is no module 'missing' here" in told
