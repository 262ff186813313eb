"""Looks after the workers of one process: what is asked of them, their locks and folders, their end."""

from __future__ import annotations

import sqlite3
from typing import Callable

from queuectl import events, system
from queuectl.doorbell import Rings
from queuectl.errors import QueueError, SpoolUnusable
from queuectl.events import Event
from queuectl.queue.requests import KILL
from queuectl.queue.store import Store
from queuectl.shift import Shift
from queuectl.troubles import RETRY_PAUSE

ASK_AGAIN = 0.05
"""Seconds before a command that could not be killed yet is killed again."""
LOG_INTERVAL = 1.0
"""Seconds between looks at how long the logs of running commands have grown."""


class Minder:
    """In the main thread; where another process looks at the folders it is all that is needed."""

    def __init__(self, shift: Shift, store: Store) -> None:
        self.shift, self.store = shift, store
        self._said = 0

    def run(self, over: Callable[[], bool]) -> None:
        """Until all workers have ended."""
        shift, rings = self.shift, Rings(frozenset(), True)
        while not over():
            more = self.attempt(rings)
            shift.crew.trim_logs()
            if shift.stops:
                shift.lose_patience()
                shift.turns.wake()
                self._say_stopping()
                if shift.stops > 1:
                    shift.crew.interrupt()
            rings = shift.bell.wait(0.0 if more else self._slice(self.patience()))

    def attempt(self, rings: Rings) -> bool:
        """One look; whether the next should follow at once. Nothing that it meets ends us."""
        shift = self.shift
        try:
            return self.look(rings)
        except SpoolUnusable as error:
            shift.fail(error)
        except sqlite3.Error as error:
            shift.troubles.mend(self.store, error)
            self.mended()
        except (OSError, QueueError) as error:
            shift.troubles.notice(f"cannot look just now: {error}")
        except Exception as error:  # noqa: BLE001 (raised again when the workers have stopped)
            shift.fail(error)
        return False

    def look(self, rings: Rings) -> bool:
        """See to our own; whether to look again at once."""
        self.store.index.follow()
        # By time, too: whoever else hears requests may be busy, or have ended.
        self.mind(asked=rings.asked or not rings.rung)
        return False

    def watch(self) -> None:
        """Begin to hear of what happens in the folders, where that is ours."""

    def mended(self) -> None:
        """The index was damaged, and is another one perhaps."""

    def patience(self) -> float:
        """Seconds until something is to be done without a ring."""
        shift = self.shift
        if shift.stops > 1 or shift.crew.unheard:
            return ASK_AGAIN
        if shift.stops:
            # Who stops only waits for the workers' rings, or for the wish to kill.
            return RETRY_PAUSE
        # Who sleeps does not hear that a command has been started.
        return float("inf") if shift.turns.resting() == shift.plan.workers else LOG_INTERVAL

    def mind(self, *, asked: bool) -> None:
        """See to our workers; with `asked` also to what others may have asked of them, and done to them."""
        shift = self.shift
        if asked or shift.stops or shift.crew.unheard:
            wish = shift.crew.hear_requests(self.store.spool)
            if wish is not None:
                shift.stop(kill=wish == KILL)
        try:
            shift.crew.keep_locks(shift.root)
        except (OSError, QueueError) as error:
            # The look goes on, and tells what is wrong with the spool.
            shift.troubles.notice(f"cannot take the workers' locks anew just now: {error}")
        if shift.crew.free_waiting(self.store, system.now()):
            shift.turns.wake()
        if asked and not shift.stops:
            shift.crew.keep_folders(self.store.spool)
            if shift.crew.has_strays(self.store.spool):
                shift.turns.wake()

    def _say_stopping(self) -> None:
        shift = self.shift
        if shift.stops != self._said:
            running = shift.crew.running
            if running and shift.stops > 1:
                shift.emit(Event(events.STOPPING, text=f"stopping: killing {running} running"))
            elif running:
                text = f"stopping: waiting for {running} running (a second signal kills)"
                shift.emit(Event(events.STOPPING, text=text))
        self._said = shift.stops

    @staticmethod
    def _slice(seconds: float) -> float:
        # `threading` takes no more, and some systems wake a waiter for a signal only between two waits.
        return max(0.0, min(seconds, system.WAIT_SLICE or 3600.0))
