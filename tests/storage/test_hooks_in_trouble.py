"""Hooks where something is in the way: the job is recorded and moved, its hook made once or missed aloud."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from queuectl import events, locks, system
from queuectl.hook import LARGEST_TOLD
from queuectl.job import Job, Run, finished
from queuectl.queue.claims import Claim, claim_some
from queuectl.queue.hooks import fire
from queuectl.queue.recovery import free_strays, recover
from queuectl.queue.settling import End, settle, settle_together
from queuectl.queue.store import Store
from queuectl.retry import Decision
from queuectl.spool import Place, Spool, hooks
from queuectl.state import State
from tests.support.spools import Desk, Heard, read_record, succeeding

WORKER = "host-1-1-abc"


def hook_ids(desk: Desk) -> list[str]:
    """The ids of the hooks that there are."""
    found = []
    for folder, names in desk.files().items():
        records = [read_record(desk.root / folder / name) for name in names if name.endswith(".json")]
        found += [record["id"] for record in records if record.get("hook_of")]
    return sorted(found)


def completed(claim: Claim, at: str = "2027-01-15T08:00:00.000Z") -> End:
    return End(claim, Run(outcome="completed", worker=WORKER, finished_at=at), Decision(State.COMPLETED))


@contextmanager
def claimed(desk: Desk, *, most: int = 1) -> Iterator[tuple[Store, list[Claim]]]:
    """A living worker's store, and what it has claimed."""
    desk.look()
    with desk.worker(succeeding(desk.clock), name=WORKER) as worker:
        yield worker.store, claim_some(worker.store, WORKER, desk.clock(), most=most)


@contextmanager
def refused_moves(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Iterator[None]:
    """No file moves to `done`."""
    move = Spool.move

    def refusing(spool: Spool, place: Place, target: Place, **options: Any) -> None:
        if target.state is State.COMPLETED:
            raise error
        move(spool, place, target, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "move", refusing)
        yield


class TestWhateverItIs:
    """The job is recorded and moved, its own hook is made, and the trouble is told once."""

    def run_two(self, desk: Desk) -> list[str]:
        heard = Heard()
        desk.add("a", "b", on_success="own", priority=1000)
        desk.look()
        with desk.worker(succeeding(desk.clock), emit=heard) as worker:
            assert worker.run_once()
            assert worker.run_once()
        assert desk.folder_of("a") == desk.folder_of("b") == ["done"]
        assert len(hook_ids(desk)) == 2
        return [event.text for event in heard.events if event.kind == events.NOTICE]

    def test_a_file_in_the_place_of_the_folder(self, desk: Desk) -> None:
        shutil.rmtree(desk.root / "hooks")
        (desk.root / "hooks").write_bytes(b"")
        (text,) = self.run_two(desk)
        assert text.startswith("hooks/on_success.json is not run: ")

    def test_a_folder_that_cannot_be_listed(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        names_in = system.names_in

        def denied(path: str) -> list[str]:
            if os.path.basename(path) == "hooks":
                raise PermissionError(13, "Permission denied", path)
            return names_in(path)

        monkeypatch.setattr(system, "names_in", denied)
        assert self.run_two(desk) == ["hooks/on_success.json is not run: Permission denied"]

    def test_an_entry_that_cannot_be_looked_at(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.drop("on_dead.json", {"command": "x"}, "hooks")
        lstat = os.lstat

        def failing_once(path: Any, **options: Any) -> os.stat_result:
            if str(path).endswith("on_dead.json"):
                raise OSError(5, "Input/output error", path)
            return lstat(path, **options)

        monkeypatch.setattr(os, "lstat", failing_once)
        assert self.run_two(desk) == ["hooks/on_success.json is not run: Input/output error"]

    def test_a_bad_file_is_told_once_until_it_changes(self, desk: Desk) -> None:
        path = desk.drop("on_success.json", b"{", "hooks")
        heard = Heard()
        desk.add("a", "b", "c", "d", "e", priority=1000)
        desk.look()
        with desk.worker(succeeding(desk.clock), emit=heard) as worker:
            for data in (b"{", b"{", b"{ ", b'{"command": "x"}', b"{"):
                if data != path.read_bytes():
                    path.write_bytes(data)
                assert worker.run_once()
        told = [event.text for event in heard.events if event.kind == events.NOTICE]
        assert len(told) == 3
        assert all(text.startswith("hooks/on_success.json is not run: not JSON") for text in told)

    def test_a_mistake_of_ours(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def mistaken(*_: Any) -> Job:
            raise RecursionError("too deep")

        monkeypatch.setattr("queuectl.spool.hooks.HookFiles.current", lambda *_, **__: mistaken())
        assert self.run_two(desk) == ["hooks/on_success.json is not run: too deep"]


class TestOnce:
    def test_while_its_move_is_refused_and_its_own_job_has_gone(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a", on_success="x")
        with claimed(desk) as (store, (claim,)):
            for _ in range(2):
                with refused_moves(monkeypatch, PermissionError(13, "held")), pytest.raises(PermissionError):
                    settle(store, completed(claim), desk.clock(), patience=0.0)
                for job_id in hook_ids(desk):
                    desk.path("pending", f"{job_id}.json").unlink()
            settle(store, completed(claim), desk.clock())
            assert store.fired == {}
        assert desk.folder_of("a") == ["done"]
        assert hook_ids(desk) == []

    def test_for_a_job_that_comes_to_rest_under_another_name(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a", on_success="x")
        move = Spool.move

        def beaten(spool: Spool, place: Place, target: Place, **options: Any) -> None:
            # Another file of its name comes to lie there, between the record and the move.
            desk.put_job("done", "a", state="completed")
            move(spool, place, target, **options)

        with claimed(desk) as (store, (claim,)):
            with monkeypatch.context() as patch:
                patch.setattr(Spool, "move", beaten)
                assert settle_together(store, [completed(claim)], desk.clock()) == set()
            settle(store, completed(claim), desk.clock())
        assert desk.folder_of("a-2") == ["done"]
        assert hook_ids(desk) == ["a-on-success-20270115T080000000Z"]

    def test_the_same_when_its_worker_dies_in_between(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.add("a", on_success="x")
        with claimed(desk) as (store, (claim,)):
            desk.put_job("done", "a", state="completed")
            with refused_moves(monkeypatch, SystemExit()), pytest.raises(SystemExit):
                settle(store, completed(claim), desk.clock())
        recover(desk.store, desk.clock(), 0.5)
        assert desk.folder_of("a-2") == ["done"]
        (job_id,) = hook_ids(desk)
        assert job_id == "a-on-success-20270115T080000000Z"
        assert desk.store.taken_troubles() == []
        # The log of its run is still that of the name under which it ran.
        assert desk.record("pending", job_id)["env"]["QUEUECTL_HOOK_LOG"].endswith("a.log")

    def test_when_a_worker_dies_among_several_that_it_records_together(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        desk.queue.hooks.set("on_success", Job(command="x"))
        desk.add("a", "b", "c", priority=1000)
        with claimed(desk, most=4) as (store, claims):
            ends = [completed(claim) for claim in claims]
            with refused_moves(monkeypatch, SystemExit()), pytest.raises(SystemExit):
                settle_together(store, ends, desk.clock())
        assert [job_id[:2] for job_id in hook_ids(desk)] == ["a-"]
        for _ in range(2):
            recover(desk.store, desk.clock(), 0.5)
            hooked = [job_id for job_id in hook_ids(desk) if job_id.startswith("a-on-success")]
            assert (len(hooked), desk.folder_of("a")) == (1, ["done"])

    @pytest.mark.parametrize("lives", [True, False])
    def test_not_for_a_run_long_past_whose_file_somebody_drags_to_a_worker(
        self, desk: Desk, lives: bool
    ) -> None:
        desk.add("a", on_success="x")
        desk.run_once(name=WORKER if lives else "host-1-1-old")
        (job_id,) = hook_ids(desk)
        desk.path("pending", f"{job_id}.json").unlink()
        with desk.worker(name=WORKER) as worker:
            desk.drag("a", "done", f"processing/{WORKER}")
            if lives:
                assert [one.job_id for one in free_strays(worker.store, WORKER, desk.clock())] == ["a"]
            else:
                worker.life.end()
                assert [one.job_id for one in recover(desk.store, desk.clock(), 0.5)] == ["a"]
        assert (desk.folder_of("a"), hook_ids(desk)) == (["done"], [])


class TestIds:
    def test_of_long_names_that_end_differently(self, desk: Desk) -> None:
        names = ["x" * 186 + letter for letter in "abc"]
        desk.add(*names, on_success="x", priority=1000)
        with claimed(desk, most=4) as (store, claims):
            assert settle_together(store, [completed(claim) for claim in claims], desk.clock()) == set(names)
        assert len(hook_ids(desk)) == 3
        assert all(len(job_id.encode()) <= 200 for job_id in hook_ids(desk))

    def test_one_that_another_job_has_is_told(self, desk: Desk) -> None:
        taken = "a-on-success-20270115T080000000Z"
        desk.add("a", on_success="x", priority=1000)
        desk.add(taken)
        with claimed(desk) as (store, (claim,)):
            settle(store, completed(claim), desk.clock())
            (text,) = store.taken_troubles()
        assert text == f"on_success of a is not run: the id {taken} is that of another job"
        assert desk.folder_of("a") == ["done"]


class TestSize:
    def test_what_is_large_is_left_out_of_what_is_told(self, desk: Desk) -> None:
        desk.queue.set_config("max_job_bytes", str(4 * LARGEST_TOLD))
        desk.add("a", command=["x", '"' * LARGEST_TOLD], on_success="x")
        desk.run_once()
        (job_id,) = hook_ids(desk)
        told = json.loads(desk.record("pending", job_id)["stdin"])
        assert (told["command"], told["id"]) == (None, "a")
        assert desk.look() == []

    def test_one_that_is_larger_than_a_job_may_be_is_not_made(self, desk: Desk) -> None:
        desk.queue.set_config("max_job_bytes", "1024")
        desk.add("a", on_success="x" * 600)
        heard = Heard()
        desk.run_once(emit=heard)
        assert (desk.folder_of("a"), hook_ids(desk)) == (["done"], [])
        assert heard.events[-1].text.startswith("on_success of a is not run: larger than max_job_bytes")

    def test_a_file_that_is_too_large_is_called_that(self, desk: Desk) -> None:
        desk.queue.set_config("max_job_bytes", "1024")
        alarm = {"command": "x", "env": {"A": "x" * 1024}}
        (desk.root.parent / "alarm.json").write_text(json.dumps(alarm), encoding="utf-8")
        desk.drop("a.json", {"command": "x", "on_success": {"file": "alarm.json"}})
        heard = Heard()
        desk.run_once(emit=heard)
        assert "alarm.json: larger than max_job_bytes" in heard.events[-1].text


class TestASaveInProgress:
    """What is read in its middle is no hook: then what it was before counts, or it is waited for."""

    @staticmethod
    def _write(path: Path, data: bytes, at: float) -> None:
        path.write_bytes(data)
        os.utime(path, (at, at))

    def test_what_it_was_before(self, desk: Desk) -> None:
        now, files = desk.clock(), desk.store.spool.hooks
        path = desk.drop("on_dead.json", {"command": "before"}, "hooks")
        assert files.current("on_dead", settle_time=10.0, now=now) == Job(command="before")
        self._write(path, b'{"command": "aft', now - 1)
        assert files.current("on_dead", settle_time=10.0, now=now) == Job(command="before")
        with pytest.raises(Exception, match="not JSON"):
            files.current("on_dead", settle_time=10.0, now=now + 10)
        path.unlink()
        assert files.current("on_dead", settle_time=10.0, now=now) is None

    def test_one_that_was_never_read_is_waited_for(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        now, files = desk.clock(), desk.store.spool.hooks
        path = desk.drop("on_dead.json", b"{", "hooks")
        os.utime(path, (now, now))
        monkeypatch.setattr(hooks.system, "sleep", lambda _: self._write(path, b'{"command": "x"}', now))
        assert files.current("on_dead", settle_time=10.0, now=now) == Job(command="x")

    def test_not_for_long_and_only_once(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        now, files, slept = desk.clock(), desk.store.spool.hooks, [0.0]
        path = desk.drop("on_dead.json", b"{", "hooks")
        os.utime(path, (now, now))

        def sleep(seconds: float) -> None:
            slept[0] += seconds

        monkeypatch.setattr(hooks.system, "monotonic", lambda: slept[0])
        monkeypatch.setattr(hooks.system, "sleep", sleep)
        for _ in range(2):
            with pytest.raises(Exception, match="not JSON"):
                files.current("on_dead", settle_time=10.0, now=now)
            assert hooks.SAVE_PATIENCE <= slept[0] < 2 * hooks.SAVE_PATIENCE


class TestNothingIsLeftIn:
    """`tmp/`, nor in `pending` what is told to be missing."""

    @pytest.mark.parametrize("step", ["write_files", "naming", "sync", "admit"])
    def test_where_a_step_fails(self, desk: Desk, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add("a", on_success="x")

        def full(*_: Any, **__: Any) -> Any:
            raise OSError(28, "No space left on device")

        with claimed(desk) as (store, (claim,)):
            place, run = claim.place, completed(claim).run
            job = finished(claim.job, run, state=State.COMPLETED, run_at=None, now=desk.clock())
            with monkeypatch.context() as patch:
                if step == "write_files":
                    patch.setattr(system, "write_files", full)
                elif step == "naming":
                    patch.setattr(locks, "exclusive", full)
                else:
                    patch.setattr(Spool, step, full)
                fire(store, place, job, desk.clock())
            (text,) = store.taken_troubles()
            assert text == "on_success of a is not run: No space left on device"
            assert (hook_ids(desk), os.listdir(desk.root / "tmp")) == ([], [])
            # And it is made by the next try, which has nothing to complain of.
            fire(store, place, job, desk.clock())
            assert (len(hook_ids(desk)), store.taken_troubles()) == (1, [])


class TestWhoeverRecovers:
    def test_the_doctor_tells_of_a_hook_that_cannot_be_made(self, desk: Desk) -> None:
        desk.drop("a.json", {"command": "x", "on_failure": {"file": "nope.json"}})
        desk.look()
        with desk.worker(name=WORKER) as worker:
            claim_some(worker.store, WORKER, desk.clock())
            worker.life.end()
        findings = desk.queue.doctor(fix=True)
        told = [one for one in findings if one.text.startswith("on_failure of a is not run: ")]
        assert [one.fixed for one in told] == [False]
        assert desk.folder_of("a") == ["failed"]
