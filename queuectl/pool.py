"""N workers in one process: signals, requests through the spool, draining.

The main thread supervises: it waits at the doorbell and sweeps the folders. The workers are threads; each
sleeps until the supervisor says that something may have become ready.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from typing import NamedTuple, Optional

from queuectl import events, system
from queuectl.doorbell import Doorbell, Rings
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.events import Event, Listener
from queuectl.index import STUCK_AFTER
from queuectl.names import CANCEL_SUFFIX, STOP_SUFFIX, make_worker_name
from queuectl.queue.claims import has_work
from queuectl.queue.recovery import clear_away
from queuectl.queue.requests import asked, is_paused
from queuectl.queue.store import Store
from queuectl.runner import CANCELLED, INTERRUPTED
from queuectl.spool import Spool, layout
from queuectl.sweep import Sweep
from queuectl.turns import Turns
from queuectl.worker import Hands, Worker

ASK_AGAIN = 0.05
"""Seconds before a command that could not be killed yet is killed again."""
LOG_INTERVAL = 1.0
"""Seconds between looks at how long the logs of running commands have grown."""
RETRY_PAUSE = 0.5
"""Seconds before a worker goes on after an error that may pass."""


class Plan(NamedTuple):
    """What a pool is to do."""

    workers: int = 1
    drain: bool = False
    """End when nothing is left to do now."""


class Pool:
    """Workers of this process on one spool."""

    def __init__(self, root: str, plan: Plan, emit: Listener = events.nobody) -> None:
        self.root, self.plan, self._listener = os.path.abspath(root), plan, emit
        self.bell = Doorbell(self.root)
        self.workers: list[Worker] = []
        self.interrupted = False
        self._stops = 0
        self._error: Optional[Exception] = None
        self._turns = Turns(over=lambda: self._stops > 0)
        self._random = random.Random()
        self._noticed: set[str] = set()
        self._unheard = False

    # Running

    def run(self) -> None:
        """Work until stopped, or with `drain` until nothing is left to do now.

        Raises:
            QueueError: the workers could not be started, or the spool became unusable.
        """
        from queuectl.system.signals import stop_signals

        with stop_signals(self.signalled), Store.open(self.root) as store:
            if store.index.in_memory:
                raise SpoolUnusable(f"workers cannot run in {self.root}: {store.index.why_in_memory}")
            # A spool that came with a repository or a backup may lack what git or zip leave out.
            layout.make_spool(self.root)
            threads: list[threading.Thread] = []
            try:
                self._watch()
                self._start_workers(threads)
                self._supervise(store, threads)
            finally:
                self._stops = max(self._stops, 1)
                self._turns.wake()
                for thread in threads:
                    thread.join()
                    # RACE: the last sweep may have made the folder of one that was just closing.
                    clear_away(store, thread.name)
                self.bell.close()
        if self._error is not None:
            raise self._error

    def _watch(self) -> None:
        self.bell.close()
        if problem := self.bell.start():
            self._notice(problem)

    def signalled(self) -> None:
        """A stop signal came: the first lets commands finish, the second kills them. Signal-safe."""
        self._stops += 1
        if self._stops > 1:
            self.interrupted = True
        self.bell.ring()

    def stop(self, *, kill: bool = False) -> None:
        """Take no more jobs; with `kill` also end the running commands, at no attempt's cost."""
        self._stops = max(self._stops, 2 if kill else 1)
        self.bell.ring()

    def emit(self, event: Event) -> None:
        """Tell the listener; a failed run also means that a retry is due some time."""
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            # A listener's mistake must not come between a run and its record.
            self._fail(error)
        if event.kind == events.JOB_FAILED:
            self.bell.ring()

    def _start_workers(self, threads: list[threading.Thread]) -> None:
        host, pid, salt = system.host_name(), system.process_id(), os.urandom(3).hex()
        ready: list[threading.Event] = []
        for number in range(1, self.plan.workers + 1):
            name, event = make_worker_name(host, pid, number, salt), threading.Event()
            thread = threading.Thread(target=self._work, args=(name, event), name=name)
            try:
                thread.start()
            except RuntimeError as error:
                told = QueueError(f"cannot start worker {number}: {error}", hint="a smaller --count")
                raise told from error
            threads.append(thread)
            ready.append(event)
        for event in ready:
            event.wait()

    # The workers' threads

    def _work(self, name: str, ready: threading.Event) -> None:
        hands = Hands(
            emit=self.emit,
            luck=self._random.random,
            gives_up=lambda: self._stops > 1 or not os.path.isdir(self.root),
        )
        try:
            with Store.open(self.root) as store:
                worker = Worker(store, name, hands)
                worker.start()
                self.workers.append(worker)
                self.emit(Event(events.WORKER_STARTED, name))
                ready.set()
                try:
                    self._work_on(worker)
                finally:
                    worker.close()
                    self.emit(Event(events.WORKER_STOPPED, name))
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            self._fail(error)
        finally:
            ready.set()
            self.bell.ring()

    def _work_on(self, worker: Worker) -> None:
        while not self._stops:
            number = self._turns.number
            try:
                if worker.run_once():
                    continue
            except sqlite3.Error as error:
                self._mend(worker.store, error)
                continue
            except (QueueError, OSError) as error:
                self._notice(f"cannot claim just now: {error}")
                system.sleep(RETRY_PAUSE)
                continue
            self._turns.rest(worker.name, number, self.bell.ring if self.plan.drain else lambda: None)

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self.stop()

    # The supervisor

    def _supervise(self, store: Store, threads: list[threading.Thread]) -> None:
        sweep = Sweep(store, self.emit)
        rings = Rings(frozenset(), True)
        said = 0
        while any(thread.is_alive() for thread in threads):
            more = self._attempt(sweep, rings)
            for worker in self.workers:
                worker.runner.trim()
            if self._stops:
                self._turns.wake()
                said = self._say_stopping(said)
                if self._stops > 1:
                    self._kill_all()
            rings = self.bell.wait(0.0 if more else self._patience(sweep))

    def _attempt(self, sweep: Sweep, rings: Rings) -> bool:
        """One look; whether the next should follow at once. Nothing that it meets ends the supervisor."""
        try:
            return self._look(sweep, rings)
        except SpoolUnusable as error:
            self._fail(error)
        except sqlite3.Error as error:
            self._mend(sweep.store, error)
            sweep.hasten()
        except (OSError, QueueError) as error:
            self._notice(f"cannot look just now: {error}")
        except Exception as error:  # noqa: BLE001 (raised again when the workers have stopped)
            self._fail(error)
        return False

    def _look(self, sweep: Sweep, rings: Rings) -> bool:
        if rings.asked or sweep.pause <= 0 or self._unheard:
            self._hear_requests(sweep.store.spool)
        if self._stops:
            return False
        # Asked first: what a worker met before it came to rest is in the index by now.
        all_rest = self._turns.resting() == self.plan.workers
        more = sweep.look(rings.names, [worker.name for worker in self.workers])
        if sweep.remade:
            sweep.remade = False
            self._watch()
        paused = is_paused(sweep.store.spool)
        waits = self._tell_stuck(sweep.store)
        if has_work(sweep.store, system.now()) and not paused:
            self._turns.wake()
        elif self.plan.drain and all_rest and not more and not waits:
            self.stop()
        return more

    def _tell_stuck(self, store: Store) -> bool:
        """Tell of jobs whose files could not be moved for long; whether some could not only for a moment."""
        now, briefly = system.now(), False
        for entry in store.index.stuck():
            if now - (entry.stuck_since or now) < STUCK_AFTER:
                briefly = True
            else:
                self._notice(f"{entry.id} cannot be moved: {entry.stuck_why}")
        return briefly

    def _mend(self, store: Store, error: sqlite3.Error) -> None:
        """See to an index that cannot be used; the jobs are in the files, so nothing is lost meanwhile."""
        try:
            healed = store.heal(error)
        except (QueueError, OSError, sqlite3.Error):
            healed = False
        if healed:
            self._notice(f"the index was damaged and is built anew ({error})")
        else:
            self._notice(f"the index cannot be used just now: {error}")
            system.sleep(RETRY_PAUSE)
        self._turns.wake()

    def _notice(self, text: str) -> None:
        """Tell what may last, once."""
        if text not in self._noticed:
            self._noticed.add(text)
            self.emit(Event(events.NOTICE, text=text))

    def _hear_requests(self, spool: Spool) -> None:
        self._unheard = False
        for worker in self.workers:
            wish = asked(spool, worker.name, STOP_SUFFIX)
            if wish is not None:
                self.stop(kill=wish == "now")
            busy = worker.current
            if busy is not None and asked(spool, worker.name, CANCEL_SUFFIX) == busy.place.job_id:
                # RACE: claimed, but its command not started yet: ask again soon.
                self._unheard |= not worker.runner.kill(CANCELLED)

    def _kill_all(self) -> None:
        for worker in self.workers:
            if worker.current is not None:
                worker.runner.kill(INTERRUPTED)

    def _say_stopping(self, said: int) -> int:
        if self._stops != said:
            running = sum(worker.current is not None for worker in self.workers)
            if running and self._stops > 1:
                self.emit(Event(events.STOPPING, text=f"stopping: killing {running} running"))
            elif running:
                text = f"stopping: waiting for {running} running (a second signal kills)"
                self.emit(Event(events.STOPPING, text=text))
        return self._stops

    def _patience(self, sweep: Sweep) -> float:
        """Seconds until something is to be done without a ring."""
        # Who stops looks no more, and only waits for the workers' rings, or for the wish to kill.
        left = RETRY_PAUSE if self._stops else sweep.pause
        if not self._stops and sweep.next_due is not None:
            left = min(left, sweep.next_due - system.now())
        # Always: who sleeps does not hear that a command has been started.
        left = min(left, LOG_INTERVAL)
        if self._stops > 1 or self._unheard:
            left = min(left, ASK_AGAIN)
        return max(0.0, min(left, system.WAIT_SLICE or left))
