"""What can be done next to a spool as it is: strategies of steps, for hypothesis to choose from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Any, Callable, TypeVar

from hypothesis import strategies as st

from tests.support.play.crew import Crew
from tests.support.play.model import HOWS, NO_RUN, SMALL, World
from tests.support.play.people import Copy, Delete, Drag, Drop, Edit, Overwrite, Person, Rename
from tests.support.play.shifts import Claim, Finish
from tests.support.play.steps import (
    Cancel,
    Command,
    Configure,
    Doctor,
    Enqueue,
    Look,
    Pause,
    Purge,
    Recover,
    Retry,
    RetryAll,
    Step,
    Tell,
)

T = TypeVar("T")
Draw = Callable[[st.SearchStrategy[Any]], Any]

IDS = ("a", "A", "é", "e\u0301") if os.sep == "/" else ("a", "b", "é", "e\u0301")
"""Few, and two of them the same but for case or Unicode form: nearly every job meets another of its name.
(The model knows no names whose case does not count.)"""
COMMANDS = (
    Enqueue,
    Enqueue,
    Retry,
    Retry,
    Cancel,
    Cancel,
    Purge,
    RetryAll,
    Look,
    Recover,
    Doctor,
    Tell,
    Pause,
)
CLOSE = (Enqueue, Retry, Retry, Cancel, Cancel, Purge, Look, Recover)
"""Those that two are likely to meet in."""
ACTS = (Drop, Drop, Drag, Drag, Drag, Drag, Copy, Rename, Edit, Edit, Overwrite, Delete)
RETRIES = (None, None, 0, 1, 2)
SETTINGS = {
    "max_retries": (0, 1, 5, None),
    "backoff_base": (0, 1, 3, None),
    "backoff_max": (3, None),
    "max_crashes": (1, 2, None),
    "max_job_bytes": (SMALL, None),
    "settle_time": (0, 60, None),
}


@cache
def _below(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit - 1)


class Choice:
    """Chooses for one step: `st.sampled_from` and `st.builds` anew for each would take longer than
    the step."""

    def __init__(self, draw: Draw, world: World, crew: Crew, about: Sequence[str]) -> None:
        self._draw, self._crew = draw, crew
        self._close = bool(about)
        self._tokens = sorted(world.things.keys() & set(about)) or sorted(world.things)
        names = set(about) - world.things.keys() or {world.things[one].stem for one in self._tokens}
        self._known = sorted(names if about else names | set(IDS))
        self._hands = list(world.hands)

    def of(self, options: Sequence[T]) -> T:
        return options[self._draw(_below(len(options)))]

    def command(self) -> Command:
        kind, by = self.of(CLOSE if self._close else COMMANDS), self.of((0, 1))
        if kind is Enqueue:
            return self.enqueue(by)
        if kind in (Retry, Cancel, Purge):
            return kind(by, self.of(self._known))
        return kind(by, self.of((True, False))) if kind in (Doctor, Tell, Pause) else kind(by)

    def enqueue(self, by: int) -> Enqueue:
        ids = tuple(self.of(self._known) for _ in range(self.of((1, 1, 2, 3))))
        fat, final = self.of(((False, False), (False, True), (True, False)))
        return Enqueue(
            by,
            ids,
            self._crew.number(3),
            self.of((True, True, False)),
            self.of((0, 1, -1)),
            self.of(RETRIES),
            fat,
            final,
        )

    def act(self) -> Person:
        kind = self.of(ACTS) if self._tokens else Drop
        if kind is Drop:
            name = self.of(IDS) + self.of((".json", ".json", ".json.txt"))
            folder, what = self.of(("pending", "pending", "failed")), self.of(("job", "fat job", "rubbish"))
            return Drop(self._crew.token(), name, folder, what)
        token = self.of(self._tokens)
        if kind is Rename:
            return Rename(token, self.of(IDS) + ".json")
        if kind is Edit:
            return Edit(token, self.of((0, 1, -1)), self.of(RETRIES))
        if kind is Delete:
            return Delete(token)
        if kind is Overwrite:
            return Overwrite(token, self._crew.token(), self.of((False, False, True)))
        return self._put(kind, token)

    def _put(self, kind: type[Person], token: str) -> Person:
        folders = ["pending", "pending", "failed", "done", "dead"]
        if kind is Copy:
            return Copy(token, self._crew.token(), self.of(folders))
        return Drag(token, self.of([*folders, *(f"processing/{name}" for name in self._hands)]))

    def configuration(self) -> Configure:
        name = self.of(tuple(SETTINGS))
        return Configure(self.of((0, 1)), name, self.of(SETTINGS[name]))

    def finish(self, busy: Sequence[str]) -> Finish:
        return Finish(self.of(busy), self.of(("failure", *HOWS, *NO_RUN)))

    def program(self, idle: Sequence[str], busy: Sequence[str]) -> Step:
        kinds = [self.command, self.command, self.command if self._close else self.configuration]
        if idle:
            kinds += [lambda: Claim(self.of(idle))] * 2
        if busy:
            kinds += [lambda: self.finish(busy)] * 2
        return self.of(kinds)()


@st.composite
def choices(
    draw: Draw, world: World, crew: Crew, choose: Callable[[Choice], Step], about: Sequence[str] = ()
) -> Step:
    """A step, about these files or ids if there are any."""
    return choose(Choice(draw, world, crew, about))
