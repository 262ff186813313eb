"""A disk that fills up, and a spool that cannot be written.

What cannot be done is refused with its exit code and leaves nothing; looking and running workers go on; and
once there is room again everything that was acknowledged finishes, each job once.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl.errors import SpoolUnusable
from queuectl.queue import Queue
from tests.support.ledger import Ledger
from tests.support.program import WINDOWS, Program, Result, Running
from tests.support.storms.limits import clear, enqueue, finish, work_off
from tests.support.storms.small_disk import SmallDisk, small_disk
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

Figure = Callable[[str, int], None]
LOOKING = (["status"], ["list"], ["show", "job-0"], ["dlq", "list"], ["worker", "list"], ["config", "get"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 1024, 300) as disk:
        yield disk


class TestAFullDisk:
    @pytest.mark.parametrize("how", ["fill", pytest.param("use_up_names", marks=pytest.mark.slow)])
    def test_enqueue_is_refused_and_leaves_nothing(
        self, disk: SmallDisk, ledger: Ledger, how: str, figure: Figure
    ) -> None:
        program = Program(disk.path)
        enqueue(program, ledger, "job-0", "job-1")
        getattr(disk, how)()
        jobs = [f'{{"id": "new-{number}", "command": "exit 0"}}\n' for number in range(3)]
        (ledger.folder / "new").write_text("".join(jobs), encoding="utf-8")
        assert clear(program.call("enqueue", "--file", str(ledger.folder / "new"))).code == 7
        assert program.names("pending") == ["job-0.json", "job-1.json"]
        assert program.left_behind() == []
        disk.make_room()
        finish(program, ledger, ["job-0", "job-1"])
        figure("limits: calls on a full disk", 1)

    @pytest.mark.slow
    @pytest.mark.parametrize("spare", [4, 8, 12, 16])
    def test_of_many_jobs_none_is_added_when_there_is_room_for_some(
        self, disk: SmallDisk, ledger: Ledger, spare: int, figure: Figure
    ) -> None:
        program = Program(disk.path)
        enqueue(program, ledger, "job-0")
        jobs = [{"id": f"new-{number}", "command": "exit 0"} for number in range(5)]
        with Queue.open(str(program.spool)) as queue:
            # It is open, so that the index needs no room to be opened.
            queue.status()
            disk.fill(spare)
            with pytest.raises(SpoolUnusable, match="No space left"):
                queue.enqueue(jobs)
        assert program.names("pending") == ["job-0.json"]
        assert program.left_behind() == []
        disk.make_room()
        finish(program, ledger, ["job-0"])
        figure("limits: calls on a full disk", 1)

    @pytest.mark.slow
    @pytest.mark.parametrize("how", ["fill", "use_up_names"])
    def test_looking_goes_on_when_nobody_works(
        self, disk: SmallDisk, ledger: Ledger, how: str, figure: Figure
    ) -> None:
        program = Program(disk.path)
        enqueue(program, ledger, "job-0", "job-1")
        before = [program.ok(*args).out for args in LOOKING]
        getattr(disk, how)()
        now = [program.ok(*args).out for args in LOOKING]
        assert now[0].startswith(before[0])
        assert "index.sqlite3 cannot be used" in now[0], "status says what is wrong"
        assert now[1:] == before[1:]
        disk.make_room()
        finish(program, ledger, ["job-0", "job-1"])
        figure("limits: calls on a full disk", len(LOOKING))

    @pytest.mark.slow
    @pytest.mark.parametrize("how", ["fill", "use_up_names"])
    @pytest.mark.parametrize("dies", [False, True], ids=["waits", "dies"])
    def test_workers_go_on_trying_to_record_what_they_ran(
        self, disk: SmallDisk, ledger: Ledger, how: str, dies: bool, figure: Figure
    ) -> None:
        """It fills up while commands run. Who is killed before there is room again has crashed."""
        program, large = Program(disk.path), {"meta": {"large": "x" * 20_000}}
        new = json.dumps({"id": "new", "command": "exit 0", **large}).encode()
        enqueue(program, ledger)
        with program.workers(2) as worker:
            for name in ("job-0", "job-1"):
                # A log that stays, and a record that takes more room than the end of a run gives back.
                command = f"echo begun && {shlex.join(ledger.command(name, 'hold'))}"
                program.drop(f"{name}.json", {"command": command, **large})
            ledger.wait_started("job-0")
            ledger.wait_started("job-1")
            wait_until(lambda: program.json("status")["counts"]["processing"] == 2, "all is quiet")
            getattr(disk, how)()
            ledger.let_go("job-0")
            ledger.let_go("job-1")
            worker.wait_for("cannot record yet", 2)
            for args in LOOKING:
                program.ok(*args)
            (ledger.folder / "new").write_bytes(new)
            assert clear(program.call("enqueue", "--file", str(ledger.folder / "new"))).code == 7
            assert program.where("new") == []
            if dies:
                worker.kill()
            disk.make_room()
            if not dies:
                program.wait_in("done", "job-0", "job-1")
                program.ok("worker", "stop")
                assert worker.end().code == 0
        finish(program, ledger, ["job-0", "job-1"], crashes=int(dies))
        figure("limits: calls on a full disk", len(LOOKING) + 1)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("kib", "names"),
        [
            *((kib, 100) for kib in (8, 16, 48, 160, 192)),
            *((256, names) for names in (8, 16, 20)),
        ],
    )
    def test_a_disk_that_is_too_small_is_told_of_and_then_made_larger(
        self, tmp_path: Path, ledger: Ledger, kib: int, names: int, figure: Figure
    ) -> None:
        with small_disk(tmp_path / "disk", kib, names) as disk:
            program = Program(disk.path)
            clear(program.call("init"))
            made = [f"job-{number}" for number in range(3)]
            source = ledger.folder / "jobs"
            acknowledged = []
            for name in made:
                source.write_text(f'{{"id": "{name}", "command": "exit 0"}}', encoding="utf-8")
                if clear(program.call("enqueue", "--file", str(source))).code == 0:
                    acknowledged.append(name)
            clear(program.call("status"))
            worked = ends_or_is_killed(program.start("worker", "start", "--drain"), 3.0)
            assert "Traceback" not in worked.err
            disk.resize(4096, 300)
            program.ok("init")
            work_off(program, acknowledged)
            figure("limits: calls on a full disk", 6)


def ends_or_is_killed(running: Running, seconds: float) -> Result:
    with running:
        try:
            running.process.wait(seconds)
        except subprocess.TimeoutExpired:
            running.kill()
        return running.end()


class TestASpoolThatCannotBeWritten:
    @pytest.fixture
    def program(self, tmp_path: Path, ledger: Ledger) -> Iterator[Program]:
        """Two jobs are done, one waits; then nobody can write: for root, that takes a read-only disk."""
        if WINDOWS:
            pytest.skip("a Windows folder that its owner cannot write is a matter of its ACL")
        if os.geteuid() == 0:
            with small_disk(tmp_path / "disk", 4096) as disk:
                program = self.prepared(disk.path, ledger)
                with disk.read_only():
                    yield program
            return
        program = self.prepared(tmp_path, ledger)
        folders = [program.spool, *(path for path in program.spool.rglob("*") if path.is_dir())]
        for folder in folders:
            folder.chmod(0o500)
        yield program
        for folder in folders:
            folder.chmod(0o700)

    @staticmethod
    def prepared(here: Path, ledger: Ledger) -> Program:
        program = Program(here)
        enqueue(program, ledger, "job-0", "job-1")
        program.ok("worker", "start", "--drain")
        enqueue(program, ledger, "waits")
        return program

    def test_can_be_looked_at_and_nothing_else(self, program: Program, figure: Figure) -> None:
        before = {path: path.read_bytes() for path in program.spool.rglob("*") if path.is_file()}
        assert program.json("status")["counts"]["completed"] == 2
        shown = program.json("show", "job-0")
        assert (shown["state"], program.ok("logs", "job-0").out) == ("completed", "")
        assert len(program.json("list")) == 3
        refused = [
            ["enqueue", "--id", "new", "--", "true"],
            ["cancel", "waits"],
            ["retry", "job-0"],
            ["config", "set", "timeout", "5"],
            ["pause"],
            ["worker", "start", "--drain"],
        ]
        for args in refused:
            assert clear(program.call(*args)).code == 7, args
        assert {path: path.read_bytes() for path in program.spool.rglob("*") if path.is_file()} == before
        figure("limits: calls on a read-only spool", 4 + len(refused))
