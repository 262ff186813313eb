"""Whether what is seen in a spool can have come of what was done to it.

Steps that fell between one another must have come out as if one had been after the other. Where a person had
a hand in it, a file may say what it said at one moment and lie where it lay at another; where somebody was
killed, it may be where it was before and say already what follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, Optional

from queuectl.errors import Conflict, DamagedRecord, NoSuchJob
from tests.support.play.model import Record, Thing, World
from tests.support.play.people import Copy, Edit, Overwrite, Person, Rename
from tests.support.play.shifts import Finish
from tests.support.play.steps import Configure, OnOne, Retry, RetryAll, Step

_ROUNDED = 0.0015
"""Seconds by which a job's age may change: times are kept in milliseconds."""
Says = tuple[str, Optional[Record], bool]


@dataclass(frozen=True)
class Deed:
    """A step that was done, and its answer."""

    step: Step
    answer: Any = None
    killed: bool = False


class Verdict:
    """On one step, or several that were side by side."""

    def __init__(self, world: World, deeds: list[Deed], seen: Mapping[str, Thing]) -> None:
        self.world, self.deeds, self.seen = world, deeds, seen
        self.after = world.copy()
        self.after.see(seen)
        self.alone = len(deeds) == 1
        self.killed = any(deed.killed for deed in deeds)
        self.by_hand = any(isinstance(deed.step, Person) for deed in deeds)

    def pronounce(self) -> None:
        """Fail unless it can have been so."""
        if not self.killed:
            self._judge_answers()
        known = dict(self.world.things)
        may_lack: set[str] = set()
        for deed in self.deeds:
            new = deed.step.brings(self.world, deed.answer)
            known.update(new)
            # Where a person takes away what runs, nothing is written anew.
            never = self.killed or (isinstance(deed.step, Finish) and self.by_hand)
            may_lack |= new.keys() if never else set()
        for token, thing in known.items():
            if token in self.seen:
                self._judge_thing(thing, self.seen[token])
            else:
                assert token in may_lack or None in self._possible(thing), f"lost: {thing}"
        strange = self.seen.keys() - known.keys()
        assert not strange, f"from nowhere: {[self.seen[token] for token in strange]}"
        if self.killed:
            return
        undone = any(isinstance(deed.step, (Retry, RetryAll)) for deed in self.deeds)
        for deed in self.deeds:
            told = deed.answer is not None or not undone
            if told and (isinstance(deed.step, Person) or not self.by_hand):
                deed.step.judge_end(self.world, deed.answer, self.seen)
        if self.alone:
            self._judge_alone(self.deeds[0])

    # Each file

    def _judge_thing(self, before: Thing, now: Thing) -> None:
        able = self._possible(before) | self._made_of(before.token)
        things = [one for one in able if one is not None]
        if now not in things:
            says = (now.folder, now.record, now.fat)
            assert says in self._apart(things), f"of {before}\ncame   {now}\nit may {things}"
        self._judge_name(before, now)
        if now.record is None or self.killed or self.by_hand:
            return
        # What is written anew gives the id of its file.
        written = now.record != self.world.things.get(now.token, now).record
        right = now.inner == now.stem if written else now.inner in (None, before.inner, now.stem)
        assert right, f"{now} gives the id {now.inner}"

    def _apart(self, things: list[Thing]) -> set[Says]:
        """Where it may lie and what it may say besides, when the two are of different moments."""
        if self.by_hand and not self.alone:
            return {(one.folder, other.record, other.fat) for one in things for other in things}
        if not self.killed:
            return set()
        # First it is written, then it is moved.
        return {
            (one.folder, then.record, then.fat)
            for one in things
            for deed in self.deeds
            for then in deed.step.may(self.world, one)
            if then is not None
        }

    def _judge_name(self, before: Thing, now: Thing) -> None:
        by_hand = [deed.step for deed in self.deeds if isinstance(deed.step, Rename)]
        names = [before.name, *(step.name for step in by_hand if step.token == now.token)]
        if now.name in names:
            aside = now.record is None and now.folder == "dead" != before.folder
            aside = aside and not (self.by_hand or self.killed)
            assert not aside or not self.after.twins(now, exact=True), f"set aside beside its like: {now}"
            return
        numbered = any(_is_numbered(now.stem, name.split(".json")[0]) for name in names)
        assert numbered and not now.hidden, f"{before.name} has become {now.name}"
        why = before.hidden or self.world.twins(before) or self.after.twins(replace(now, name=before.name))
        assert why or not self.alone, f"{before.name} has become {now.name} for no reason"
        if self.by_hand:
            return
        known = {one.token for one in self.world.known_twins(now)}
        doubled = [one for one in self.after.twins(now) if one.token in known or one.stem == now.stem]
        doubled = [one for one in doubled if not one.hidden]
        assert not doubled, f"{before.name} has become {now.name}, but there is {doubled}"

    def _possible(self, thing: Thing) -> set[Optional[Thing]]:
        able: set[Optional[Thing]] = {thing}
        for order in permutations(self.deeds):
            # A list: two of another name are equal, but not for the next step.
            some: list[Optional[Thing]] = [thing]
            for deed in order:
                some += [
                    then
                    for one in some
                    if one
                    for world in self._worlds()
                    for then in deed.step.may(world, one)
                ]
            able |= set(some)
        return able

    def _worlds(self) -> list[World]:
        """With the settings before and after."""
        worlds = [self.world]
        for deed in self.deeds:
            if isinstance(deed.step, Configure) and not self.alone:
                worlds.append(self.world.copy())
                deed.step.then(worlds[-1], deed.answer)
        return worlds

    def _made_of(self, token: str) -> set[Optional[Thing]]:
        """What the file of this token may be if it was made of another one, which meanwhile became
        something."""
        able: set[Optional[Thing]] = set()
        for deed in [] if self.alone else self.deeds:
            step = deed.step
            if isinstance(step, (Copy, Overwrite)) and step.new == token and step.token in self.world.things:
                for one in filter(None, self._possible(self.world.things[step.token])):
                    able.add(step.made_of(one))
            if isinstance(step, Finish) and self.by_hand:
                able |= step.anew(self.world, token)
        return able

    def _judge_alone(self, deed: Deed) -> None:
        """What must have been done has been; what need not be and is `exact` has not."""
        must = set(deed.step.must(self.world, deed.answer))
        for token, before in self.world.things.items():
            able, now = set(deed.step.may(self.world, before)), self.seen.get(token)
            if token in must:
                assert now in (able - {before} or able), f"{before}\nis     {now}\nit must {able}"
            elif deed.step.exact:
                assert now == before, f"{before}\nis     {now}\nfor no reason"
            # A job without an age is as old as its file; the file of one that runs is not.
            ageless = not before.record or before.record.updated is None
            aged = isinstance(deed.step, Edit) and token == deed.step.token
            if now is not None and now.record and not (ageless and (aged or isinstance(deed.step, Finish))):
                assert abs(now.created - before.created) < _ROUNDED, f"{now} is of another age than {before}"

    # The answers

    def _judge_answers(self) -> None:
        """Each is what one of them would have answered after the other."""
        problem = self._refusal(self.deeds)
        if problem is None:
            return
        refused = [deed for deed in self.deeds if isinstance(deed.answer, Exception)]
        refused = [deed for deed in refused if not isinstance(deed.step, OnOne)]
        # What is not of one moment may have seen a bit of both.
        atomic = [deed for deed in self.deeds if deed.step.atomic or deed in refused]
        if self.alone or (self._refusal(atomic) and not any(map(self._is_beaten, self.deeds))):
            raise problem

    def _refusal(self, deeds: list[Deed]) -> Optional[AssertionError]:
        """Why it can have been in no order; None: it can."""
        problems: list[AssertionError] = []
        for order in permutations(deeds):
            try:
                _follow(self.world.copy(), order)
            except AssertionError as problem:
                problems.append(problem)
            else:
                return None
        return problems[0]

    def _is_beaten(self, deed: Deed) -> bool:
        """Whether it found that somebody else had been faster."""
        told = isinstance(deed.answer, (Conflict, NoSuchJob, DamagedRecord))
        return not self.alone and isinstance(deed.step, OnOne) and (self.by_hand or told)


def _follow(world: World, deeds: Iterable[Deed]) -> None:
    """Let them happen one after the other, as far as the answers tell what has happened."""
    for deed in deeds:
        things = dict(world.things)
        for token in deed.step.must(world, deed.answer):
            changed = (one for one in deed.step.may(world, things[token]) if one != things[token])
            now = next(changed, things[token])
            if now is None:
                del things[token]
            else:
                things[token] = now
        things.update(deed.step.brings(world, deed.answer))
        deed.step.then(world, deed.answer)
        world.see(things)


def _is_numbered(job_id: Optional[str], other: str) -> bool:
    """Whether it is that id, or one that is given where that is taken."""
    base = re.sub(r"-\d+\Z", "", other)
    return job_id is not None and re.fullmatch(re.escape(base) + r"(-\d+)?", job_id) is not None
