"""N workers in one process: signals, requests through the spool, draining.

The main thread supervises: it waits at the doorbell and sweeps the folders. The workers are threads; each
sleeps until the supervisor says that something may have become ready.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
from contextlib import nullcontext
from typing import Callable, NamedTuple, Optional

from queuectl import events, system
from queuectl.batch import MOST
from queuectl.crew import Crew
from queuectl.doorbell import Doorbell, Rings
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.events import Event, Listener
from queuectl.hands import Hands
from queuectl.locks import HeldLock, wait_lock
from queuectl.names import LIFE_SUFFIX, SUPERVISOR, make_worker_name
from queuectl.queue.claims import has_work
from queuectl.queue.recovery import clear_away
from queuectl.queue.requests import KILL, is_paused
from queuectl.queue.store import Store
from queuectl.spool import layout
from queuectl.spool.access import refuse_strangers
from queuectl.sweep import Sweep
from queuectl.troubles import RETRY_PAUSE, Troubles
from queuectl.turns import Turns
from queuectl.worker import Worker

ASK_AGAIN = 0.05
"""Seconds before a command that could not be killed yet is killed again."""
LOCK_PATIENCE = 5.0
"""Seconds that a supervisor waits for its own lock, which nobody holds for longer than a look."""
LOG_INTERVAL = 1.0
"""Seconds between looks at how long the logs of running commands have grown."""


class Plan(NamedTuple):
    """What a pool is to do."""

    workers: int = 1
    drain: bool = False
    """End when nothing is left to do now."""
    trust_writers: bool = False
    """Work even where others may write to the spool, and so run commands as this user."""
    first: int = 1
    """The number of the first worker, where others have the numbers before."""
    salt: str = ""
    """The end of the workers' names, where that of others is the same."""
    helps: bool = False
    """Another process of ours hears signals and looks at the folders (see `Fleet`)."""


class Pool:
    """Workers of this process on one spool."""

    def __init__(self, root: str, plan: Plan, emit: Listener = events.nobody) -> None:
        self.root, self.plan, self._listener = os.path.abspath(root), plan, emit
        self.bell = Doorbell(self.root)
        self.crew = Crew()
        self.interrupted = False
        self._stops = 0
        self._error: Optional[Exception] = None
        self.others_rest: Callable[[], bool] = lambda: True
        """Whether there is nothing left that other processes of ours work on."""
        self.told_rest: Callable[[int], None] = lambda count: None
        """Called with how many workers rest, when that changes."""
        self.on_signal: Callable[[], None] = self.signalled
        """What a signal that asks to stop calls."""
        self._turns = Turns(over=lambda: self._stops > 0, told=self._say_rest)
        self._random = random.Random()
        self._salt = plan.salt or os.urandom(3).hex()
        self._troubles = Troubles(self.root, self.emit, self._unusable, self._turns.wake)
        self._ended: set[str] = set()

    # Running

    def run(self) -> None:
        """Work until stopped, or with `drain` until nothing is left to do now.

        Raises:
            QueueError: the workers could not be started, others may write to the spool, or it became
                unusable.
        """
        from queuectl.system.signals import stop_signals

        hearing = nullcontext() if self.plan.helps else stop_signals(self.on_signal)
        with hearing, self._open() as store:
            if not self.plan.trust_writers:
                refuse_strangers(self.root)
            store.index.refuse_in_memory()
            # A spool that came with a repository or a backup may lack what git or zip leave out.
            layout.make_spool(self.root)
            threads: list[threading.Thread] = []
            supervisor = self._take_lock(store)
            try:
                self._watch()
                self._start_workers(store, threads)
                self._supervise(store, threads)
            finally:
                self._stops = max(self._stops, 1)
                self._turns.wake()
                for thread in threads:
                    thread.join()
                    # RACE: the last sweep may have made the folder of one that was just closing.
                    clear_away(store, thread.name)
                self.bell.close()
                supervisor.release()
                clear_away(store, self._name(SUPERVISOR))
        if self._error is not None:
            raise self._error

    def _take_lock(self, store: Store) -> HeldLock:
        """The supervisor's own: once it has died, others remove what it has left in `tmp/`."""
        name = store.spool.tmp.owner = self._name(SUPERVISOR)
        # Waited for: to ask whether somebody holds a lock is to take it for a moment.
        return wait_lock(store.spool.lock_path(name + LIFE_SUFFIX), LOCK_PATIENCE)

    def _name(self, number: int) -> str:
        return make_worker_name(system.host_name(), system.process_id(), number, self._salt)

    def _open(self) -> Store:
        return Store.open(self.root, trust_writers=self.plan.trust_writers, to_run=True)

    def _watch(self) -> None:
        self.bell.close()
        if problem := self.bell.start():
            self._troubles.notice(problem)

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
            self.fail(error)
        if event.kind == events.JOB_FAILED:
            self.bell.ring()

    def _start_workers(self, store: Store, threads: list[threading.Thread]) -> None:
        ready: list[threading.Event] = []
        for number in range(self.plan.first, self.plan.first + self.plan.workers):
            name, event = self._name(number), threading.Event()
            thread = threading.Thread(target=self._work, args=(store, name, event), name=name)
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

    def _work(self, supervisor: Store, name: str, ready: threading.Event) -> None:
        hands = Hands(
            emit=self.emit,
            luck=self._random.random,
            freed=self._turns.wake,
            gives_up=lambda: self._stops > 1 or not os.path.isdir(self.root),
            index_trouble=lambda: supervisor.index.why_in_memory,
        )
        try:
            with self._open() as store:
                worker = Worker(store, name, hands, most=MOST)
                worker.start()
                self.crew.workers.append(worker)
                self.emit(Event(events.WORKER_STARTED, name))
                ready.set()
                try:
                    self._work_on(worker)
                finally:
                    worker.close()
                    self.emit(Event(events.WORKER_STOPPED, name))
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            self.fail(error)
        finally:
            ready.set()
            self._ended.add(name)
            self.bell.ring()

    def _work_on(self, worker: Worker) -> None:
        while not self._stops:
            number = self._turns.number
            try:
                if worker.run_once():
                    continue
            except sqlite3.Error as error:
                self._troubles.mend(worker.store, error)
                continue
            except (QueueError, OSError) as error:
                self._troubles.notice(f"cannot claim just now: {error}")
                system.sleep(RETRY_PAUSE)
                continue
            self._turns.rest(worker.name, number, self.bell.ring if self.plan.drain else lambda: None)

    def _say_rest(self, count: int) -> None:
        self.told_rest(count)

    def fail(self, error: Exception) -> None:
        """Stop for this error, and raise it at the end."""
        self._error = self._error or error
        if (self.crew.running or not self.others_rest()) and not self._stops:
            # It is told at the end as well; that may be hours away.
            self._troubles.notice(str(error))
        self.stop()

    def _unusable(self, error: Exception) -> bool:
        """The index cannot be used for long; whether we stop for it: without `drain` others may mend it."""
        if self.plan.drain:
            self.fail(error)
        return self.plan.drain

    # The supervisor

    def _supervise(self, store: Store, threads: list[threading.Thread]) -> None:
        sweep = Sweep(store, self.emit, whole=not self.plan.helps)
        rings = Rings(frozenset(), True)
        said = 0
        # Not whether they are alive: who rings as its last act still is, and would be waited for.
        while len(self._ended) < len(threads):
            more = self._attempt(sweep, rings)
            self.crew.trim_logs()
            if self._stops:
                self._turns.wake()
                said = self._say_stopping(said)
                if self._stops > 1:
                    self.crew.interrupt()
            rings = self.bell.wait(0.0 if more else self._patience(sweep))

    def _attempt(self, sweep: Sweep, rings: Rings) -> bool:
        """One look; whether the next should follow at once. Nothing that it meets ends the supervisor."""
        try:
            sweep.hears = self.bell.hears
            return self._look(sweep, rings)
        except SpoolUnusable as error:
            self.fail(error)
        except sqlite3.Error as error:
            self._troubles.mend(sweep.store, error)
            sweep.hasten()
        except (OSError, QueueError) as error:
            self._troubles.notice(f"cannot look just now: {error}")
        except Exception as error:  # noqa: BLE001 (raised again when the workers have stopped)
            self.fail(error)
        return False

    def _look(self, sweep: Sweep, rings: Rings) -> bool:
        if rings.asked or sweep.pause <= 0 or self.crew.unheard:
            wish = self.crew.hear_requests(sweep.store.spool)
            if wish is not None:
                self.stop(kill=wish == KILL)
        # Before the look, which may fail for long.
        self._keep_locks()
        if self.crew.free_waiting(sweep.store, system.now()):
            self._turns.wake()
        if self._stops:
            return False
        # Asked first: what a worker met before it came to rest is in the index by now.
        all_rest = self._turns.resting() == self.plan.workers and self.others_rest()
        more = sweep.look(rings.names, self.crew.names)
        self._troubles.index_works()
        if sweep.remade:
            sweep.remade = False
            self._watch()
        paused = is_paused(sweep.store.spool)
        waits = self._troubles.tell_stuck(sweep.store) or sweep.lost
        if has_work(sweep.store, system.now()) and not paused:
            self._turns.wake()
        elif self.plan.drain and all_rest and not more and not waits:
            self.stop()
        return more

    def _keep_locks(self) -> None:
        try:
            self.crew.keep_locks(self.root)
        except (OSError, QueueError) as error:
            # The look goes on, and tells what is wrong with the spool.
            self._troubles.notice(f"cannot take the workers' locks anew just now: {error}")

    def _say_stopping(self, said: int) -> int:
        if self._stops != said:
            running = self.crew.running
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
        moments = [] if self._stops else [sweep.next_due, sweep.next_ripe]
        left = min([left, *(moment - system.now() for moment in moments if moment is not None)])
        # Always: who sleeps does not hear that a command has been started.
        left = min(left, LOG_INTERVAL)
        if self._stops > 1 or self.crew.unheard:
            left = min(left, ASK_AGAIN)
        return max(0.0, min(left, system.WAIT_SLICE or left))
