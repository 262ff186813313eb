"""Several workers in one program, in a thread: draining, stopping, taking in drops, hearing requests."""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from queuectl import batch as batch_module
from queuectl import events, minder, system, troubles
from queuectl import pool as pool_module
from queuectl.doorbell import Doorbell
from queuectl.engine import Conditions
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.index import base, making
from queuectl.job import Job
from queuectl.minder import Minder
from queuectl.pool import Pool
from queuectl.queue import Queue, claims
from queuectl.queue.requests import ask
from queuectl.queue.store import Store
from queuectl.runner import Outcome, Runner
from queuectl.shift import Plan
from queuectl.sweep import Sweep
from queuectl.troubles import Troubles
from queuectl.turns import Turns
from tests.support.commands import post, python
from tests.support.invariants import check, job_files
from tests.support.spools import Heard
from tests.support.waiting import wait_until

PATIENCE = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    with Queue.open(str(tmp_path / "spool")) as queue:
        queue.set_config("poll_interval", "0.05")
        queue.set_config("settle_time", "0")
        queue.set_config("backoff_base", "0")
    return tmp_path / "spool"


def add(root: Path, *jobs: Any) -> None:
    with Queue.open(str(root)) as queue:
        queue.enqueue(jobs)


def states(root: Path) -> dict[str, str]:
    return {path.stem: path.relative_to(root).parts[0] for path in job_files(root)}


def drain(root: Path, workers: int = 2) -> Heard:
    heard = Heard()
    with running(root, heard, Plan(workers, drain=True)):
        pass
    return heard


@contextmanager
def running(root: Path, heard: Heard, plan: Plan) -> Iterator[Pool]:
    """A pool in a thread, waited for at the end and stopped unless it drains; raises what it raised."""
    pool, errors = Pool(str(root), plan, heard), list[BaseException]()

    def run() -> None:
        try:
            pool.run()
        except BaseException as error:  # noqa: BLE001 (raised again below)
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield pool
    finally:
        if not plan.drain:
            pool.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()
    if errors:
        raise errors[0]


def test_what_runs_longer_than_it_is_given_after_a_signal_goes_back_at_no_cost(root: Path) -> None:
    add(root, {"id": "long", "command": python("import time; time.sleep(600)"), "max_retries": 0})
    heard = Heard()
    with running(root, heard, Plan(1, patience=0.2)) as pool:
        wait_until(lambda: events.JOB_STARTED in heard.kinds, "it runs", PATIENCE)
        pool.shift.signalled()
        wait_until(lambda: events.JOB_INTERRUPTED in heard.kinds, "it was put back", PATIENCE)
    assert states(root) == {"long": "pending"}
    assert pool.shift.interrupted


class TestDraining:
    def test_an_empty_spool_ends_at_once(self, root: Path) -> None:
        assert drain(root).kinds.count(events.WORKER_STARTED) == 2
        assert list((root / "processing").iterdir()) == []
        assert [path.name for path in (root / "locks").iterdir()] == ["claim.lock"]

    def test_the_last_worker_to_end_is_not_waited_for_once_more(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Who rings at its end is still alive then; it was waited for once more, for half a second.
        over = threading.Event()
        work, mind = Pool._work, Minder.run
        seen = []

        def ends_late(pool: Pool, *given: Any) -> None:
            work(pool, *given)
            seen.append(over.wait(10.0))

        def told(minder: Minder, *given: Any, **named: Any) -> None:
            mind(minder, *given, **named)
            over.set()

        monkeypatch.setattr(Pool, "_work", ends_late)
        monkeypatch.setattr(Minder, "run", told)
        drain(root)
        assert seen == [True, True]

    def test_runs_all_there_is_and_retries_what_is_due(self, root: Path) -> None:
        add(root, *({"id": f"ok-{n}", "command": python("pass")} for n in range(4)))
        add(root, {"id": "bad", "command": python("raise SystemExit(3)"), "max_retries": 2})
        heard = drain(root)
        assert states(root) == {**{f"ok-{n}": "done" for n in range(4)}, "bad": "dead"}
        assert heard.kinds.count(events.JOB_COMPLETED) == 4
        assert [
            one.attempt for one in heard.events if one.job_id == "bad" and one.kind == events.JOB_STARTED
        ] == [*(1, 2, 3)]
        check(root, states(root))

    def test_takes_in_drops_of_every_kind(self, root: Path) -> None:
        command = {"command": python("pass")}
        add(root, {"id": "known", **command})
        (root / "pending" / "plain.json").write_text(_json(command))
        (root / "pending" / "windows.json.txt").write_bytes(_json(command).encode("utf-16"))
        (root / "pending" / "rubbish.json").write_text("{")
        (root / "pending" / "empty.json").touch()
        (root / "done" / "second.json").write_text(_json({**command, "id": "second", "state": "completed"}))
        (root / "pending" / "second.json").write_text(_json(command))
        heard = drain(root)
        assert states(root) == {
            "known": "done",
            "plain": "done",
            "windows": "done",
            "second": "done",
            "second-2": "done",
            "rubbish": "dead",
            "empty": "pending",
        }
        told = {(one.kind, one.job_id) for one in heard.events}
        assert {(events.JOB_RENAMED, "second-2"), (events.FILE_REFUSED, "rubbish")} <= told

    def test_leaves_what_is_not_due(self, root: Path) -> None:
        add(root, {"id": "later", "command": "x", "run_at": "2099-01-01T00:00:00Z"})
        drain(root)
        assert states(root) == {"later": "pending"}

    def test_leaves_everything_while_it_is_paused(self, root: Path) -> None:
        add(root, {"id": "a", "command": python("pass")})
        with Queue.open(str(root)) as queue:
            queue.pause()
        drain(root)
        assert states(root) == {"a": "pending"}

    def test_frees_the_jobs_of_the_dead_first(self, root: Path) -> None:
        folder = root / "processing" / "host-1-1-dead"
        folder.mkdir()
        (folder / "a.json").write_text(_json({"id": "a", "command": python("pass")}))
        heard = drain(root)
        assert states(root) == {"a": "done"}
        assert events.JOB_RECOVERED in heard.kinds
        check(root, ["a"])


class TestRunningOn:
    def test_a_drop_is_run_and_a_stop_lets_it_end(self, root: Path) -> None:
        heard = Heard()
        with post() as office, running(root, heard, Plan(1)) as pool:
            (root / "pending" / "a.json").write_text(
                _json({"command": python(_ASK, str(office.port))}), encoding="utf-8"
            )
            with office.line() as line:
                pool.stop()
                wait_until(lambda: events.STOPPING in heard.kinds, "it says that it stops", PATIENCE)
                assert states(root) == {"a": "processing"}
                line._connection.send(b"x")
        assert states(root) == {"a": "done"}
        assert heard.kinds[-1] == events.WORKER_STOPPED

    def test_who_waits_for_a_command_to_end_sleeps(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        heard, waits, real = Heard(), [], Doorbell.wait

        def wait(bell: Doorbell, timeout: float) -> Any:
            waits.append(timeout)
            return real(bell, timeout)

        monkeypatch.setattr(Doorbell, "wait", wait)
        with post() as office, running(root, heard, Plan(1)) as pool:
            add(root, {"id": "a", "command": office.hold()})
            with office.line() as line:
                pool.stop()
                wait_until(lambda: events.STOPPING in heard.kinds, "it says that it stops", PATIENCE)
                before = len(waits)
                wait_until(lambda: len(waits) >= before + 3, "it has looked at its watch", PATIENCE)
                pool.stop(kill=True)
                line.wait_for_end()
        assert all(timeout > 0.1 for timeout in waits[before : before + 3])

    def test_a_second_stop_kills_and_costs_no_attempt(self, root: Path) -> None:
        heard = Heard()
        with post() as office, running(root, heard, Plan(1)) as pool:
            add(root, {"id": "a", "command": office.hold()})
            with office.line() as line:
                pool.stop()
                pool.stop(kill=True)
                line.wait_for_end()
        assert states(root) == {"a": "pending"}
        assert events.JOB_INTERRUPTED in heard.kinds
        with Queue.open(str(root)) as queue:
            assert queue.show("a")["attempts"] == 0
        check(root, ["a"])

    def test_a_running_job_can_be_cancelled(self, root: Path) -> None:
        heard = Heard()
        with post() as office, running(root, heard, Plan(2)), Queue.open(str(root)) as queue:
            add(root, {"id": "a", "command": office.hold()})
            with office.line() as line:
                queue.cancel(["a"], deadline=PATIENCE)
                line.wait_for_end()
            assert queue.show("a")["error"] == "cancelled"
        assert states(root) == {"a": "dead"}
        assert events.JOB_CANCELLED in heard.kinds

    @pytest.mark.parametrize("kill", [False, True])
    def test_a_stop_through_the_spool_is_heard(self, root: Path, kill: bool) -> None:
        heard = Heard()
        with running(root, heard, Plan(2)), Queue.open(str(root)) as queue:
            wait_until(lambda: heard.kinds.count(events.WORKER_STARTED) == 2, "two workers", PATIENCE)
            names = queue.stop_workers(kill=kill)
            assert len(names) == 2
            wait_until(lambda: queue.living(names) == [], "that they have stopped", PATIENCE)
        assert [path.name for path in (root / "locks").iterdir()] == ["claim.lock"]

    def test_its_workers_are_told_by_status(self, root: Path) -> None:
        heard = Heard()
        with running(root, heard, Plan(3)), Queue.open(str(root)) as queue:
            wait_until(lambda: heard.kinds.count(events.WORKER_STARTED) == 3, "three workers", PATIENCE)
            workers = queue.status().workers
        assert len(workers) == 3
        assert {one.pid for one in workers} == {os.getpid()}
        assert {one.host for one in workers} == {system.host_name()}

    def test_without_events_scans_do_it_all(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from queuectl.system import watch

        def refusing(*_: object, **__: object) -> None:
            raise OSError(28, "inotify watch limit reached")

        monkeypatch.setattr(watch, "watch", refusing)
        heard = Heard()
        with running(root, heard, Plan(1)):
            (root / "pending" / "a.json").write_text(_json({"command": python("pass")}))
            wait_until(lambda: states(root) == {"a": "done"}, "the drop has run", PATIENCE)
        assert "no file events" in heard.events[0].text


@pytest.mark.parametrize("ends", [False, True], ids=["waits", "has ended"])
def test_quick_jobs_that_were_claimed_with_a_slow_one_do_not_wait_for_it(
    root: Path, monkeypatch: pytest.MonkeyPatch, ends: bool
) -> None:
    """Neither those behind it, to run, nor those before it, to be recorded."""
    monkeypatch.setattr(batch_module, "HORIZON", 1000.0)
    monkeypatch.setattr(batch_module, "MOST", 16)
    gates = {name: root.parent / name for name in ("begin", "go")}
    waits = "import os, time, sys\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)"
    first, slow = ([sys.executable, "-c", waits, str(gate)] for gate in gates.values())
    heard = Heard()
    with running(root, heard, Plan(1)), ExitStack() as more:
        add(root, {"id": "first", "command": first})
        wait_until(lambda: states(root) == {"first": "processing"}, "the first runs", PATIENCE)
        quick = [{"id": f"quick{number}", "command": "exit 0"} for number in range(9)]
        add(root, *quick[:4], {"id": "slow", "command": slow}, *quick[4:])
        if not ends:
            more.enter_context(running(root, heard, Plan(1)))
        gates["begin"].touch()
        there = {"processing": 1, "done": 5, "pending": 5} if ends else {"processing": 1, "done": 10}
        wait_until(lambda: Counter(states(root).values()) == there, "the others", PATIENCE)
        assert states(root)["slow"] == "processing"
        gates["go"].touch()


class TestTroubles:
    """Nothing that the supervisor or a worker meets may leave the others alone with what runs."""

    def test_a_mistake_in_a_look_stops_it_and_a_second_stop_is_still_heard(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard, real, broken = Heard(), Sweep.look, threading.Event()

        def look(sweep: Sweep, *args: Any) -> Any:
            if broken.is_set():
                raise ZeroDivisionError
            return real(sweep, *args)

        monkeypatch.setattr(Sweep, "look", look)
        add(root, {"id": "a", "command": python("pass")})

        def play() -> None:
            with post() as office, running(root, heard, Plan(1)) as pool:
                add(root, {"id": "b", "command": office.hold()})
                with office.line() as line:
                    broken.set()
                    wait_until(lambda: events.STOPPING in heard.kinds, "it says that it stops", PATIENCE)
                    pool.stop(kill=True)
                    line.wait_for_end()

        with pytest.raises(ZeroDivisionError):
            play()
        assert states(root) == {"a": "done", "b": "pending"}

    def test_requests_are_heard_though_no_look_succeeds(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def look(*_: object) -> Any:
            raise OSError(36, "File name too long")

        monkeypatch.setattr(Sweep, "look", look)
        heard = Heard()
        with running(root, heard, Plan(1)), Queue.open(str(root)) as queue:
            wait_until(lambda: events.NOTICE in heard.kinds, "it tells that it cannot look", PATIENCE)
            names = queue.stop_workers()
            wait_until(lambda: queue.living(names) == [], "that they have stopped", PATIENCE)
        assert [one.text for one in heard.events if one.kind == events.NOTICE] == [
            "cannot look just now: [Errno 36] File name too long"
        ]

    def test_an_index_that_cannot_be_mended_at_once_is_tried_again(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, refusals, damages = Store.heal, [SpoolUnusable("held open")], [1, 2]
        look = Sweep.look

        def heal(store: Store, error: sqlite3.Error) -> bool:
            if refusals:
                raise refusals.pop()
            return real(store, error)

        def damaged(sweep: Sweep, *args: Any) -> Any:
            if damages:
                damages.pop()
                raise sqlite3.DatabaseError("database disk image is malformed")
            return look(sweep, *args)

        monkeypatch.setattr(troubles, "RETRY_PAUSE", 0.01)
        monkeypatch.setattr(Store, "heal", heal)
        monkeypatch.setattr(Sweep, "look", damaged)
        add(root, {"id": "a", "command": python("pass")})
        heard = drain(root, 1)
        assert states(root) == {"a": "done"}
        told = [one.text for one in heard.events if one.kind == events.NOTICE]
        first, then = (text.split("(", maxsplit=1)[0].split(":")[0].strip() for text in told)
        assert first == "the index cannot be used just now"
        # Windows: the worker's own connection holds it.
        assert then in ("the index was damaged and is built anew", "the index is damaged and held open")

    def test_an_index_that_is_in_memory_is_no_index_for_workers(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unwritable(path: str, lock_path: str) -> Any:
            return making.in_memory(path), "of a reason"

        monkeypatch.setattr(base, "connect", unwritable)
        with pytest.raises(SpoolUnusable, match="cannot be changed: of a reason"):
            Pool(str(root), Plan()).run()

    def test_a_worker_that_cannot_be_started_leaves_none_behind(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = threading.Thread.start

        def start(thread: threading.Thread) -> None:
            if "-2-" in thread.name:
                raise RuntimeError("can't start new thread")
            real(thread)

        monkeypatch.setattr(threading.Thread, "start", start)
        heard = Heard()
        with pytest.raises(QueueError, match="cannot start worker 2"), running(root, heard, Plan(2, True)):
            pass
        assert heard.kinds == [events.WORKER_STARTED, events.WORKER_STOPPED]

    def test_a_folder_that_is_made_anew_is_watched_again(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        heard, starts, real = Heard(), [], Doorbell.start

        def start(bell: Doorbell) -> Any:
            starts.append(1)
            return real(bell)

        def look(sweep: Sweep, *args: Any) -> Any:
            more = scan(sweep, *args)
            sweep.remade = len(starts) < 2
            return more

        scan = Sweep.look
        monkeypatch.setattr(Doorbell, "start", start)
        monkeypatch.setattr(Sweep, "look", look)
        with running(root, heard, Plan(1)):
            wait_until(lambda: len(starts) == 2, "it watches anew", PATIENCE)

    def test_a_cancel_between_the_claim_and_the_start_is_heard_soon(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        refusals, real = count(), Runner.kill

        def kill(runner: Runner, verdict: str, **options: Any) -> bool:
            # As it is until the command has started.
            return next(refusals) >= 2 and real(runner, verdict, **options)

        monkeypatch.setattr(Runner, "kill", kill)
        # The one ring that the request makes is rung by hand.
        monkeypatch.setattr(Doorbell, "start", lambda bell: None)
        with Queue.open(str(root)) as queue, post() as office:
            queue.set_config("poll_interval", "3600")
            queue.enqueue([{"id": "a", "command": office.hold()}])
            with running(root, Heard(), Plan(1)) as pool, office.line() as line:
                (worker,) = pool.shift.crew.workers
                ask(worker.store.spool, worker.name, ".cancel", "a")
                pool.shift.bell.notice(str(root / "locks" / f"{worker.name}.cancel"))
                try:
                    line.wait_for_end()
                finally:
                    pool.stop(kill=True)
        assert states(root) == {"a": "dead"}

    @pytest.mark.parametrize("poll_interval", ["0.05", "3600"])
    def test_the_log_of_what_runs_is_kept_short_also_while_it_stops(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, poll_interval: str
    ) -> None:
        monkeypatch.setattr(minder, "LOG_INTERVAL", 0.02)
        with Queue.open(str(root)) as queue:
            queue.set_config("poll_interval", poll_interval)
            queue.set_config("log_max_bytes", "2000")
        heard, log = Heard(), root / "logs" / "a.log"
        with post() as office:
            add(root, {"id": "a", "command": python(_TALK, str(office.port))})
            with running(root, heard, Plan(1)) as pool, office.line() as line:
                wait_until(lambda: log.stat().st_size <= 2000, "its log is cut", PATIENCE)
                pool.stop()
                wait_until(lambda: events.STOPPING in heard.kinds, "it says that it stops", PATIENCE)
                line._connection.send(b"x")
                with office.line() as more:
                    wait_until(lambda: log.stat().st_size <= 2000, "its log is cut again", PATIENCE)
                    more._connection.send(b"x")
        assert states(root) == {"a": "done"}


class TestAFileThatCannotBeMoved:
    """Windows: a preview or a scanner has it open."""

    def held(self, monkeypatch: pytest.MonkeyPatch, times: float) -> None:
        real, tries = system.replace, count()

        def replace(source: str, target: str, **options: Any) -> None:
            if "processing" in target and next(tries) < times:
                raise PermissionError(13, "held by somebody", source)
            real(source, target, **options)

        monkeypatch.setattr(system, "replace", replace)
        monkeypatch.setattr(claims, "POSTPONED", 0.05)

    def test_is_waited_for_by_a_drain(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.held(monkeypatch, 3)
        add(root, {"id": "a", "command": python("pass")})
        drain(root, 1)
        assert states(root) == {"a": "done"}

    def test_is_waited_for_though_it_was_tried_in_the_middle_of_a_look(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.held(monkeypatch, 3)
        asked, real, move = threading.Event(), Troubles.tell_stuck, system.replace

        def tell_stuck(troubles: Troubles, store: Store) -> bool:
            told = real(troubles, store)
            if not asked.is_set():
                asked.set()
                turns: Turns = troubles._mended.__self__  # type: ignore[attr-defined]
                wait_until(lambda: turns.resting() == 1, "the worker has tried", PATIENCE)
            return told

        def replace(source: str, target: str, **options: Any) -> None:
            if "processing" in target:
                asked.wait(PATIENCE)
            move(source, target, **options)

        monkeypatch.setattr(Troubles, "tell_stuck", tell_stuck)
        monkeypatch.setattr(system, "replace", replace)
        add(root, {"id": "a", "command": python("pass")})
        drain(root, 1)
        assert states(root) == {"a": "done"}

    def test_for_good_is_told_once_and_ends_the_drain(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.held(monkeypatch, float("inf"))
        monkeypatch.setattr(troubles, "STUCK_AFTER", 0.2)
        add(root, {"id": "a", "command": python("pass")})
        heard = drain(root, 2)
        assert states(root) == {"a": "pending"}
        told = [one.text for one in heard.events if one.kind == events.NOTICE]
        assert told == ["a cannot be moved: held by somebody"]


def test_a_job_that_cannot_be_started_keeps_neither_the_others_nor_the_drain(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Runner.run

    def run(runner: Runner, job: Job, conditions: Conditions) -> Outcome:
        if job.name == "large":
            raise OSError(28, "No space left on device")
        return real(runner, job, conditions)

    monkeypatch.setattr(Runner, "run", run)
    monkeypatch.setattr(troubles, "STUCK_AFTER", 2.0)
    monkeypatch.setattr(pool_module, "RETRY_PAUSE", 0.05)
    add(root, {"id": "large", "command": "x", "priority": 9}, {"id": "small", "command": python("pass")})
    heard = drain(root, 1)
    assert states(root) == {"large": "pending", "small": "done"}
    told = [one.text for one in heard.events if one.kind == events.NOTICE]
    assert told == [
        "cannot claim just now: [Errno 28] No space left on device",
        "large cannot be started: No space left on device",
    ]
    # Who starts anew may have made room: it is tried at once.
    monkeypatch.setattr(Runner, "run", real)
    drain(root, 1)
    assert states(root)["large"] != "pending"


def test_where_there_is_no_spool_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpoolUnusable, match="is no spool"):
        Pool(str(tmp_path / "nowhere"), Plan()).run()


def test_a_listeners_mistake_stops_it_but_loses_no_outcome(root: Path) -> None:
    class Broken(Heard):
        def __call__(self, event: events.Event) -> None:
            super().__call__(event)
            if event.kind == events.JOB_COMPLETED:
                raise ZeroDivisionError

    add(root, {"id": "a", "command": python("pass")})
    with pytest.raises(ZeroDivisionError), running(root, Broken(), Plan(1, drain=True)):
        pass
    assert states(root) == {"a": "done"}


_TALK = (
    "import os, socket, sys\n"
    "for _ in range(2):\n"
    "    os.write(1, b'early\\n' * 1000)\n"
    "    line = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
    "    line.settimeout(60)\n    line.recv(1)"
)
_ASK = (
    "import socket, sys\n"
    "line = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
    "line.settimeout(60)\nline.recv(1)"
)


def _json(data: Any) -> str:
    import json

    return json.dumps(data)
