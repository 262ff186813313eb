"""The workers of one `worker start`, spread over processes: one Python runs one thread at a time.

The first process is the one that was started. It hears signals, looks at the folders for all, and decides
when a drain is over. The others run their share of the workers and die with it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from functools import partial
from typing import Callable

from queuectl import errors, events
from queuectl.errors import QueueError, system_error
from queuectl.events import Listener
from queuectl.fellows import Fellows
from queuectl.pool import Pool
from queuectl.shift import Plan, new_salt, worker_names
from queuectl.system.family import Child, Letter, Parent, cores, fork
from queuectl.system.signals import stop_signals

SAME_WISH = 1.0
"""Seconds in which a signal to one process and one to another are one wish to stop (systemd tells all)."""
_SIGNAL, _STOP = b"!", b"s"


class _Helpers(Fellows):
    """The other processes, as the first one sees them."""

    def __init__(self) -> None:
        self.children: list[Child] = []
        self._names: list[list[str]] = []

    def add(self, child: Child, plan: Plan) -> None:
        """It runs by this plan."""
        self.children.append(child)
        self._names.append(worker_names(plan, child.pid))

    @property
    def names(self) -> list[str]:
        living = [names for child, names in zip(self.children, self._names) if not child.ended]
        return [name for names in living for name in names]

    def rest(self) -> bool:
        return all(child.rests for child in self.children)

    def wake(self) -> None:
        for child in self.children:
            child.ask(Letter.WAKE)

    def look(self) -> None:
        for child in self.children:
            child.ask(Letter.LOOK)


class _Leader(Fellows):
    """The first process, as another one sees it."""

    def __init__(self, parent: Parent, plan: Plan) -> None:
        self._parent, self._plan = parent, plan

    def we_rest(self, count: int) -> None:
        self._parent.rest(count == self._plan.workers)

    def ring(self) -> None:
        self._parent.ring()


class Fleet:
    """Workers on one spool, in as many processes as can run at the same time."""

    def __init__(self, root: str, plan: Plan, emit: Listener = events.nobody) -> None:
        """`emit` is called in each of the processes."""
        self._root, self._emit = root, emit
        first, *others = shares(plan if plan.salt else plan._replace(salt=new_salt()), cores())
        self._others = others
        self._helpers = _Helpers()
        self._pool = Pool(root, first, emit, self._helpers)
        self._children = self._helpers.children
        self._watchers: list[threading.Thread] = []
        self._errors: list[QueueError] = []
        self._signals = 0

    @property
    def interrupted(self) -> bool:
        """Whether a second signal has killed what ran."""
        return self._pool.shift.interrupted

    def run(self) -> None:
        """As `Pool.run`, with all of them.

        Raises:
            QueueError: as `Pool.run`; or one of the other processes has ended before its time.
        """
        self._pool.on_signal = self._signalled
        with stop_signals(self._signalled):
            try:
                self._begin()
                self._pool.run()
            finally:
                self._end()
        if self._errors:
            raise self._errors[0]

    def _begin(self) -> None:
        if self._others:
            _import_what_all_need(self._pool.shift.plan)
        try:
            for plan in self._others:
                self._helpers.add(fork(partial(self._share, plan), self._children), plan)
            for child in self._children:
                watcher = threading.Thread(target=self._watch, args=(child,), daemon=True)
                watcher.start()
                self._watchers.append(watcher)
        except (OSError, RuntimeError) as error:
            # No room for another process, or for the thread that minds it.
            raise QueueError(f"cannot start workers: {error}", hint="a smaller --count") from error

    def _end(self) -> None:
        self._tell(_STOP)
        for watcher in self._watchers:
            watcher.join()
        for child in self._children[len(self._watchers) :]:
            self._watch(child)
        for child in self._children:
            child.close()

    def _signalled(self) -> bool:
        self._signals += 1
        self._tell(_SIGNAL)
        return self._pool.signalled()

    def _tell(self, letter: bytes) -> None:
        for child in self._children:
            child.tell(letter)

    def _watch(self, child: Child) -> None:
        try:
            said, code = child.await_end(self._pool.shift.bell.ring, self._asked)
            if said:
                told = json.loads(said)
                kind = getattr(errors, told["kind"], QueueError)
                self._fail(kind(told["text"], hint=told["hint"]))
            elif code:
                ended = f"exit code {code}" if code > 0 else f"signal {-code}"
                self._fail(QueueError(f"a process with workers has ended before its time ({ended})"))
        finally:
            self._pool.stop()

    def _asked(self) -> None:
        """Somebody has asked another process to stop; us too, mostly, and that is not to count twice."""
        later = threading.Timer(SAME_WISH, lambda: None if self._signals else self._pool.stop())
        later.daemon = True
        later.start()

    def _fail(self, error: QueueError) -> None:
        self._errors.append(error)
        self._pool.shift.fail(error)

    # In the other processes

    def _share(self, plan: Plan, parent: Parent) -> bytes:
        pool = Pool(self._root, plan, self._emit, _Leader(parent, plan))
        parent.waits_for_us = self._pool.shift.plan.drain
        calls: dict[bytes, Callable[[], object]] = {
            _STOP: partial(self._stop, pool),
            _SIGNAL: partial(self._signal, pool),
            Letter.WAKE.value: pool.shift.wake,
            Letter.LOOK.value: pool.shift.bell.ask,
        }
        parent.listen(lambda letter: calls[letter]())
        try:
            pool.run()
        except (QueueError, OSError) as caught:
            error = system_error(caught) if isinstance(caught, OSError) else caught
            told = {"kind": type(error).__name__, "text": error.message, "hint": error.hint}
            return json.dumps(told).encode()
        return b""

    # Not in the main thread: that may import what has no end.

    @staticmethod
    def _stop(pool: Pool) -> None:
        pool.stop()
        if pool.learns:
            os._exit(0)

    @staticmethod
    def _signal(pool: Pool) -> None:
        if pool.signalled():
            os._exit(1)


def _import_what_all_need(plan: Plan) -> None:
    """Before the others are forked: they need not do it again, and share the memory.

    Not the modules with their tasks: those may start threads, which a fork does not copy.
    """
    import portalocker  # noqa: F401
    import watchdog.observers  # noqa: F401

    import queuectl.codec
    import queuectl.system.process

    if plan.tasks and not plan.processes:
        import queuectl.tasks.inside
        import queuectl.tasks.loading
    elif plan.tasks:
        import queuectl.tasks.hosts  # noqa: F401


def shares(plan: Plan, processes: int) -> Sequence[Plan]:
    """What each of so many processes is to do, the first one for all of them."""
    used = min(processes, plan.workers)
    counts = [plan.workers // used + (number < plan.workers % used) for number in range(used)]
    firsts = [1 + sum(counts[:number]) for number in range(used)]
    helping = [
        plan._replace(workers=count, first=first, drain=False, helps=True)
        for count, first in zip(counts[1:], firsts[1:])
    ]
    return [plan._replace(workers=counts[0]), *helping]
