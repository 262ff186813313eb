"""What the workers of one process and their supervisor share: who is there, what is to be heard, the end."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional

from queuectl import events, system
from queuectl.crew import Crew
from queuectl.doorbell import Doorbell
from queuectl.errors import InvalidInput
from queuectl.events import Event, Listener
from queuectl.fellows import Fellows
from queuectl.layers import NO_LAYERS, Layers
from queuectl.names import make_worker_name
from queuectl.queue.store import Store
from queuectl.tasks.skills import Skills
from queuectl.troubles import Troubles
from queuectl.turns import Turns

if TYPE_CHECKING:
    from queuectl.tracing import Tracer


class Plan(NamedTuple):
    """What the workers of a process are to do."""

    workers: int = 1
    drain: bool = False
    """End when nothing is left to do now."""
    trust_writers: bool = False
    """Work even where others may write to the spool, and so run commands as this user."""
    first: int = 1
    """The number of the first worker, where others have the numbers before."""
    salt: str = ""
    """The end of the workers' names, where that of others is the same."""
    tasks: tuple[str, ...] = ()
    """The modules whose Python functions they may call."""
    processes: bool = False
    """Whether each worker calls them in a process of its own beside it."""
    layers: Layers = NO_LAYERS
    """What of the settings holds for these workers alone."""
    patience: Optional[float] = None
    """Seconds after a signal in which what runs may end; then it is as if a second one had come."""
    helps: bool = False
    """Another process of ours hears signals and events and looks at the folders (see `Fleet`)."""


def new_salt() -> str:
    """An end for workers' names that no others have."""
    return os.urandom(3).hex()


def worker_names(plan: Plan, process_id: int) -> list[str]:
    """What the workers are called that this process has by this plan."""
    host, numbers = system.host_name(), range(plan.first, plan.first + plan.workers)
    return [make_worker_name(host, process_id, number, plan.salt) for number in numbers]


class Shift:
    """Of one process; any of its threads may call it."""

    def __init__(self, root: str, plan: Plan, listener: Listener, fellows: Optional[Fellows] = None) -> None:
        self.root, self._listener = os.path.abspath(root), listener
        self.plan = plan if plan.salt else plan._replace(salt=new_salt())
        self.fellows = fellows or Fellows()
        self.skills = Skills()
        self.tracer: Optional[Tracer] = None
        self.bell = Doorbell(self.root)
        self.crew = Crew()
        self.turns = Turns(over=lambda: self.stops > 0, told=self.fellows.we_rest)
        self.troubles = Troubles(self.root, self.emit, self._unusable, self.turns.wake)
        self.luck: Callable[[], float] = random.Random().random
        self._told: dict[str, object] = {}
        self.stops = 0
        """How often somebody has asked us to stop: from the second time on what runs is killed."""
        self._deadline = float("inf")
        self.interrupted = False
        self.error: Optional[Exception] = None
        """What we end for."""

    def open_store(self) -> Store:
        """One for a thread. Raises as `Store.open`."""
        plan = self.plan
        store = Store.open(self.root, trust_writers=plan.trust_writers, to_run=True, layers=plan.layers)
        # What one has told the others need not.
        store.told = self._told
        store.index.tasks = self.skills.tasks
        return store

    def emit(self, event: Event) -> None:
        """Tell the listener; a failed run also means that a retry is due some time."""
        try:
            self._listener(event)
        except Exception as error:  # noqa: BLE001 (raised again by the main thread)
            # A listener's mistake must not come between a run and its record.
            self.fail(error)
        if event.kind == events.JOB_FAILED:
            self.bell.ring()
            self.fellows.ring()

    def wake(self) -> None:
        """Have all who rest look for work, and look after them meanwhile."""
        if self.turns.wake():
            self.bell.ring()

    def unblocked(self) -> None:
        """Others may run now, which waited for a job of ours: have all who rest look, in all processes."""
        self.turns.wake()
        self.bell.ring()
        self.fellows.ring()

    def signalled(self) -> None:
        """A stop signal came: the first lets commands finish, the second kills them. Signal-safe."""
        if self.plan.patience is not None and self._deadline == float("inf"):
            self._deadline = system.monotonic() + self.plan.patience
        self.stops += 1
        if self.stops > 1:
            self.interrupted = True
        self.bell.ring()

    def lose_patience(self) -> None:
        """Once what runs has had its time after a signal, be as after the second one."""
        if self.stops == 1 and system.monotonic() >= self._deadline:
            self.signalled()

    def stop(self, *, kill: bool = False) -> None:
        """Take no more jobs; with `kill` also end the running commands, at no attempt's cost."""
        before, self.stops = self.stops, max(self.stops, 2 if kill else 1)
        if self.stops > before:
            # Not for the same wish once more: whoever minds us hears it at each look, and looks at each ring.
            self.bell.ring()

    def fail(self, error: Exception) -> None:
        """Stop for this error, and raise it at the end."""
        self.error = self.error or error
        waits = self.crew.running or not self.fellows.rest()
        if waits and not self.stops and not isinstance(error, InvalidInput):
            # It is told at the end as well; that may be hours away. (What was asked for cannot be: that shows
            # before anything has begun.)
            self.troubles.notice(str(error))
        self.stop()

    def _unusable(self, error: Exception) -> bool:
        """The index cannot be used for long; whether we stop for it: without `drain` others may mend it."""
        if self.plan.drain:
            self.fail(error)
        return self.plan.drain
