"""Several programs at one spool, in an order that the test decides.

Each acts in a thread of its own, but only while it has the turn, which it gives back before a system call of
the test's choice. So what one program does can fall between any look and act of another; and a program that
is killed is one whose every further call on the spool fails, so that it can tidy up no more than a killed
process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, Optional
from unittest import mock

from queuectl import locks, system
from queuectl.index import Index
from queuectl.spool import tmp

MOVE = "os.rename"
CALLS = frozenset({MOVE, "open", "os.remove", "os.mkdir", "os.rmdir", "os.scandir", "os.listdir"})
"""Before each of these on a path in the spool, and before each write to the index, the turn may change."""
ENDED, PAUSED, BLOCKED, WAITING = "ended", "paused", "blocked", "waiting"
_LONGEST = 60.0
"""Seconds after which an actor that does not give its turn back has hung."""


class Death(BaseException):
    """The actor has been killed: raised by whatever it calls from then on."""


class Actor:
    """A program: `start` gives it something to do, `go` the turn to do it."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.calls = 0
        self.before = ""
        """The call that it is paused before."""
        self.state = ENDED
        self.dead = False
        self._task: Optional[Callable[[], Any]] = None
        self._left: Optional[int] = None
        self._answer: Any = None
        self._value: Any = None
        self._error: Optional[BaseException] = None
        self._mine, self._others = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    # Called by the test

    def start(self, task: Callable[[], Any]) -> None:
        """Let it do this, from its next turn on."""
        assert self.state == ENDED, f"it is {self.state}"
        self._task, self.state = task, PAUSED

    def answer(self, word: object) -> None:
        """Let it go on with this where it has asked, from its next turn on."""
        assert self.state == WAITING, f"it is {self.state}"
        self._answer, self.state = word, PAUSED

    def go(self, calls: Optional[int] = None) -> str:
        """Give it the turn, for so many calls (None: until it has ended, asks or is blocked); its
        state then."""
        self._left = calls
        self._mine.release()
        assert self._others.acquire(timeout=_LONGEST), "it hangs"
        return self.state

    def result(self) -> Any:
        """What came of its task."""
        assert self.state == ENDED, f"it is {self.state}"
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._value

    def run(self, task: Callable[[], Any]) -> Any:
        """Let it do this alone; what came of it."""
        self.start(task)
        while self.go() == BLOCKED:
            pass
        return self.result()

    def kill(self) -> None:
        """As `kill -9` does, wherever it is."""
        self.dead = True
        while self.state != ENDED:
            self.go()
        self._error = None

    def leave(self) -> None:
        """End the thread."""
        self.kill()
        self._task = None
        self._mine.release()
        self._thread.join(_LONGEST)

    # Called in its own thread

    def pause(self, state: str) -> Any:
        """Give the turn back; what it is told when it gets it again."""
        self.state = state
        self._others.release()
        self._mine.acquire()
        if self.dead:
            raise Death
        return self._answer

    def call(self, name: str) -> None:
        """It is about to make this call."""
        if self.dead:
            raise Death
        self.calls += 1
        if self._left is not None:
            if self._left <= 0:
                self.before = name
                self.pause(PAUSED)
            self._left = None if self._left is None else self._left - 1

    def _live(self) -> None:
        _acting.actor = self
        while True:
            self._mine.acquire()
            if self._task is None:
                return
            self._value = None
            try:
                self._value = self._task()
            except BaseException as error:  # noqa: BLE001  the test is told of it in its own thread
                self._error = error
            self._task, self.state = None, ENDED
            self._others.release()


_acting = threading.local()
_hooked: list[bool] = []


def acting() -> Optional[Actor]:
    """The actor whose thread this is."""
    return getattr(_acting, "actor", None)


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if event not in CALLS:
        return
    actor = acting()
    if actor is not None and isinstance(args[0], str) and args[0].startswith(actor.root):
        actor.call(event)


class Stage:
    """Where actors act: no wait takes time, and whoever waits gives its turn to the others."""

    def __init__(self, root: str, now: Callable[[], float]) -> None:
        self._root, self._actors, self._waited = root, [], 0.0  # type: tuple[str, list[Actor], float]
        self._holders: dict[str, Optional[Actor]] = {}
        self._exclusive = locks.exclusive
        self._patches = ExitStack()
        for patch in (
            mock.patch.object(locks, "exclusive", self._hold),
            mock.patch.object(system, "sleep", self._sleep),
            mock.patch.object(system, "monotonic", lambda: self._waited),
            mock.patch.object(system, "now", now),
            mock.patch.object(Index, "transaction", _announced(Index.transaction)),
            # The times of files are not those of the test's clock.
            mock.patch.object(tmp, "ABANDONED_AGE", 1e12),
            mock.patch.object(os, "replace", _move_as_on_windows),
            # Nothing loses power here, and the disk takes longer than everything else.
            mock.patch.object(os, "fsync", lambda _: None),
        ):
            self._patches.enter_context(patch)
        if not _hooked:
            # For good: Python has no way to take a hook away. It does nothing outside of an actor's thread.
            sys.addaudithook(_hook)
            _hooked.append(True)

    @property
    def calls(self) -> int:
        """The calls of all actors."""
        return sum(actor.calls for actor in self._actors)

    def actor(self) -> Actor:
        """A new one."""
        self._actors.append(Actor(self._root))
        return self._actors[-1]

    def close(self) -> None:
        """End all."""
        try:
            for actor in self._actors:
                actor.leave()
        finally:
            self._patches.close()

    def _sleep(self, seconds: float) -> None:
        self._waited += seconds
        actor = acting()
        if actor is not None:
            actor.pause(BLOCKED)

    @contextmanager
    def _hold(self, path: str, *args: Any) -> Iterator[None]:
        actor = acting()
        while actor is not None and self._holders.get(path, actor) is not actor:
            actor.pause(BLOCKED)
        outermost = path not in self._holders
        self._holders[path] = actor
        try:
            with self._exclusive(path, *args):
                yield
        finally:
            if outermost:
                del self._holders[path]


_replace = os.replace


def _move_as_on_windows(source: str, target: str) -> None:
    """Where two move one file at the same moment, both succeed: nothing but a lock decides who has it."""
    actor = acting()
    if actor is not None and os.path.lexists(source):
        actor.call(MOVE)
        if not os.path.lexists(source):
            return
    _replace(source, target)


def _announced(transaction: Callable[..., Any]) -> Callable[..., Any]:
    def announcing(index: Index) -> Any:
        actor = acting()
        if actor is not None and not index._sql.in_transaction:
            actor.call("sql")
        return transaction(index)

    return announcing
