"""N workers in one process: each is a thread, and sleeps until the main thread wakes it."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import nullcontext
from typing import Callable, Optional

# Not only when they are needed: then perhaps nothing more can be opened.
import queuectl.complaints
import queuectl.index.making  # noqa: F401
from queuectl import events, system
from queuectl.batch import MOST
from queuectl.config import ON
from queuectl.errors import QueueError
from queuectl.events import Event, Listener
from queuectl.fellows import Fellows
from queuectl.hands import Hands
from queuectl.locks import HeldLock, wait_lock
from queuectl.minder import Minder
from queuectl.names import LIFE_SUFFIX, SUPERVISOR, make_worker_name
from queuectl.queue.recovery import clear_away
from queuectl.queue.store import Store
from queuectl.shift import Plan, Shift, worker_names
from queuectl.spool import making
from queuectl.spool.access import refuse_strangers
from queuectl.supervisor import Supervisor
from queuectl.troubles import RETRY_PAUSE
from queuectl.worker import Worker

LOCK_PATIENCE = 5.0
"""Seconds that a supervisor waits for its own lock, which nobody holds for longer than a look."""


class Pool:
    """Workers of this process on one spool."""

    def __init__(
        self, root: str, plan: Plan, emit: Listener = events.nobody, fellows: Optional[Fellows] = None
    ) -> None:
        self.shift = Shift(root, plan, emit, fellows)
        self.on_signal: Callable[[], object] = self.signalled
        """What a signal that asks to stop calls."""
        self.learns = False
        """Whether it is just importing the modules of tasks: it runs nothing yet."""
        self._ended: set[str] = set()

    def signalled(self) -> bool:
        """As `Shift.signalled`; whether it is heard as an error alone: what is imported may have no end."""
        self.shift.signalled()
        return self.learns and self.shift.stops > 1

    def stop(self, *, kill: bool = False) -> None:
        """As `Shift.stop`."""
        self.shift.stop(kill=kill)

    def run(self) -> None:
        """Work until stopped, or with `drain` until nothing is left to do now.

        Raises:
            QueueError: the workers could not be started, others may write to the spool, or it became
                unusable.
        """
        from queuectl.system.signals import stop_signals

        shift, helps = self.shift, self.shift.plan.helps
        hearing = nullcontext() if helps else stop_signals(self.on_signal)
        with hearing, shift.open_store() as store:
            if not shift.plan.trust_writers:
                refuse_strangers(shift.root)
            store.index.refuse_in_memory()
            # A spool that came with a repository or a backup may lack what git or zip leave out.
            making.make_spool(shift.root)
            lock = self._take_lock(store)
            try:
                self._trace(store)
                self._learn(store)
                self._work_and_mind(store, Minder(shift, store) if helps else Supervisor(shift, store))
            finally:
                lock.release()
                clear_away(store, self._own_name)
                if shift.tracer is not None:
                    shift.tracer.close()
        if shift.error is not None:
            raise shift.error

    def _trace(self, store: Store) -> None:
        if store.config.traces == ON:
            from queuectl import tracing

            self.shift.tracer = tracing.started(self.shift.root, self.shift.troubles.notice)

    def _learn(self, store: Store) -> None:
        plan = self.shift.plan
        if not plan.tasks:
            return
        from queuectl.tasks.skills import learn

        first = worker_names(plan, system.process_id())[0]
        self.learns = True
        try:
            # Asked then: whoever wants it to end from here on is heard.
            if not self.shift.stops:
                self.shift.skills = learn(
                    store.spool,
                    plan.tasks,
                    processes=plan.processes,
                    first=first,
                    gives_up=lambda: self.shift.stops > 1,
                )
        except BaseException:
            clear_away(store, first)
            raise
        finally:
            self.learns = False
        store.index.tasks = self.shift.skills.tasks

    @property
    def _own_name(self) -> str:
        return make_worker_name(system.host_name(), system.process_id(), SUPERVISOR, self.shift.plan.salt)

    def _take_lock(self, store: Store) -> HeldLock:
        """The supervisor's own: once it has died, others remove what it has left in `tmp/`."""
        name = store.spool.tmp.owner = self._own_name
        # Waited for: to ask whether somebody holds a lock is to take it for a moment.
        return wait_lock(store.spool.lock_path(name + LIFE_SUFFIX), LOCK_PATIENCE)

    def _work_and_mind(self, store: Store, minder: Minder) -> None:
        shift, threads = self.shift, list[threading.Thread]()
        try:
            minder.watch()
            self._start_workers(store, threads)
            # Not whether they are alive: who rings as its last act still is, and would be waited for.
            minder.run(over=lambda: len(self._ended) == len(threads))
        finally:
            shift.stops = max(shift.stops, 1)
            shift.turns.wake()
            for thread in threads:
                thread.join()
                # RACE: the last sweep may have made the folder of one that was just closing.
                clear_away(store, thread.name)
            shift.bell.close()

    def _start_workers(self, store: Store, threads: list[threading.Thread]) -> None:
        ready: list[threading.Event] = []
        for name in worker_names(self.shift.plan, system.process_id()):
            event = threading.Event()
            thread = threading.Thread(target=self._work, args=(store, name, event), name=name)
            try:
                thread.start()
            except RuntimeError as error:
                number = self.shift.plan.first + len(threads)
                told = QueueError(f"cannot start worker {number}: {error}", hint="a smaller --count")
                raise told from error
            threads.append(thread)
            ready.append(event)
        for event in ready:
            event.wait()

    # The workers' threads

    def _work(self, supervisor: Store, name: str, ready: threading.Event) -> None:
        shift = self.shift
        hands = Hands(
            emit=shift.emit,
            luck=shift.luck,
            tracer=shift.tracer,
            stops=lambda: shift.stops > 0,
            freed=shift.turns.wake,
            unblocked=shift.unblocked,
            gives_up=lambda: shift.stops > 1 or not os.path.isdir(shift.root),
            index_trouble=lambda: supervisor.index.why_in_memory,
        )
        try:
            with shift.open_store() as store:
                worker = Worker(store, name, hands, most=MOST, tasks=shift.skills.engine(name))
                worker.start()
                shift.crew.workers.append(worker)
                shift.emit(Event(events.WORKER_STARTED, name))
                ready.set()
                try:
                    self._work_on(worker)
                finally:
                    worker.close()
                    shift.emit(Event(events.WORKER_STOPPED, name))
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            shift.fail(error)
        finally:
            ready.set()
            self._ended.add(name)
            shift.bell.ring()

    def _work_on(self, worker: Worker) -> None:
        shift = self.shift
        while not shift.stops:
            number = shift.turns.number
            try:
                if worker.run_once():
                    continue
            except sqlite3.Error as error:
                shift.troubles.mend(worker.store, error)
                continue
            except (QueueError, OSError) as error:
                shift.troubles.notice(f"cannot claim just now: {error}")
                system.sleep(RETRY_PAUSE)
                continue
            shift.turns.rest(worker.name, number, shift.bell.ring if shift.plan.drain else lambda: None)
