"""What workers do: claim a job, and settle it when its command has ended. Steps, as in `steps`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Optional

from tests.support.play.actors import Actor
from tests.support.play.crew import Crew
from tests.support.play.model import FINISHED, NO_RUN, WAITING, Hand, Thing, World
from tests.support.play.steps import Step

_CLOSE = 0.0015
"""Seconds by which a job's age may change when it is written: times are kept in milliseconds."""


@dataclass(frozen=True)
class Work(Step):
    """What a worker does."""

    name: str

    def hand(self, world: World) -> Hand:
        return world.hands[self.name]


@dataclass(frozen=True)
class Claim(Work):
    exact = False

    fresh: bool = False
    """Whether everything has just been looked at: then what should be found must be."""

    def begin(self, crew: Crew) -> Actor:
        employee = crew.employees[self.name]
        employee.actor.start(employee.worker.run_once)
        return employee.actor

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if not thing.hidden and thing.folder == f"processing/{self.name}":
            yield from self._freed(world, thing)
        elif world.may_start(thing):
            yield from self._started(world, thing)

    def _started(self, world: World, thing: Thing) -> Iterator[Thing]:
        assert thing.record is not None
        started = thing.record.claimed(thing.folder, world.now)
        if world.is_spent(thing, world.settings):
            yield thing.at("dead", replace(started, state="dead"))
            return
        yield thing.at(f"processing/{self.name}", started)
        if world.still_runs(thing.stem):
            yield thing.at(thing.folder, started)

    @staticmethod
    def _suspects(world: World) -> list[Thing]:
        """What runs and has crashed before."""
        running = [hand.running for hand in world.hands.values() if hand.running]
        return [
            one for one in running if one.record and one.record.crashes and one == world.things.get(one.token)
        ]

    def _freed(self, world: World, thing: Thing) -> Iterator[Thing]:
        """What somebody has put into its folder, once it has nothing to do."""
        record = thing.record
        if record is None:
            yield thing.at("dead")
        elif record.state == "failed" and self.hand(world).asked == thing.stem:
            # Cancelled just when it was put there.
            yield thing.at("dead", record.cancelled(world.now))
        else:
            yield thing.rests(record if record.state in FINISHED else replace(record, state="pending"))

    def must(self, world: World, answer: Any) -> Iterable[str]:
        """`answer` is the token of what it runs."""
        assert not isinstance(answer, Exception), answer
        able = [one for one in world.of(*WAITING) if list(self.may(world, one)) and not world.twins(one)]
        spent = [one for one in able if world.is_spent(one, world.settings)]
        # With a suspect beside it, one that has crashed before is left alone.
        crashed = any(one.record and one.record.crashes for one in world.of("processing"))
        ready = [
            one
            for one in able
            if one not in spent
            and not (crashed and one.record and one.record.crashes)
            and not world.is_postponed(one)
        ]
        strays = [one.token for one in world.of("processing") if list(self.may(world, one))]
        if answer is None:
            assert world.paused or not (self.fresh and ready), f"not claimed: {ready}"
            return [*strays, *(one.token for one in spent if self.fresh and not (crashed or world.paused))]
        assert answer in world.things, f"nothing was known of {answer}"
        got = world.things[answer]
        assert not world.paused, f"{got} is claimed in a pause"
        assert list(self.may(world, got)), f"{got} may not be claimed"
        assert not world.still_runs(got.stem), f"{got} runs already"
        # As it is claimed: one that was dragged to `pending` begins anew.
        crashed = all(one and one.record and one.record.crashes for one in self.may(world, got))
        assert not (crashed and self._suspects(world)), f"{got} runs beside another"
        assert not world.twins(got, exact=True), f"{got} is claimed in spite of {world.twins(got)}"
        if self.fresh and ready:
            first = min(ready, key=_turn)
            priority, created = _turn(first)
            assert _turn(got) <= (priority, created + _CLOSE), f"{got} came before {first}"
        return [answer]

    def then(self, world: World, answer: Any) -> None:
        self.hand(world).settings = world.settings
        # What cannot be moved just now is tried again half a second later.
        stuck = {one.token: world.now + 0.5 for one in world.of(*WAITING) if world.still_runs(one.stem)}
        world.postponed = {**world.postponed, **stuck}
        # Whose file was doubled has lost its row.
        world.unseen |= {one.token for one in world.things.values() if world.twins(one)}


@dataclass(frozen=True)
class Finish(Work):
    how: str

    def begin(self, crew: Crew) -> Actor:
        actor = crew.employees[self.name].actor
        actor.answer(self.how)
        return actor

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        running = self.hand(world).running
        if running is None or thing.folder != f"processing/{self.name}" or thing.name != running.name:
            return
        if self.how in NO_RUN and not self._stamps(world, running):
            # As it is, whatever somebody has made of it.
            yield thing.at("pending")
        elif thing.record is None:
            yield thing.at("dead")
        elif self.how in NO_RUN:
            yield thing.at("pending", replace(thing.record, state="pending"))
        else:
            yield self._ended(thing, world)

    @staticmethod
    def _stamps(world: World, running: Thing) -> bool:
        """Whether a job that goes back is written: it was stamped when it was claimed, or needs another
        name."""
        taken = any(one.folder == "pending" for one in world.twins(running))
        return taken or (running.record is not None and running.record.state != "pending")

    def brings(self, world: World, answer: Any) -> dict[str, Thing]:
        """The job is written anew where somebody has made rubbish of its file."""
        running = self.hand(world).running
        spoiled = [one for one in world.of("processing") if not one.record and list(self.may(world, one))]
        return {one.token: one for one in self.anew(world, running.token)} if running and spoiled else {}

    def anew(self, world: World, token: str) -> set[Thing]:
        """The job of this token as it was claimed, ended."""
        running = self.hand(world).running
        if (
            running is None
            or running.token != token
            or (self.how in NO_RUN and not self._stamps(world, running))
        ):
            return set()
        return set(filter(None, self.may(world, running.at(f"processing/{self.name}"))))

    def then(self, world: World, answer: Any) -> None:
        running, self.hand(world).running = self.hand(world).running, None
        if running is not None:
            world.note_start(running.token, lacking=self.how == "no start")

    def _ended(self, thing: Thing, world: World) -> Thing:
        hand = self.hand(world)
        assert thing.record and hand.running and hand.running.record
        runs = hand.running.record.attempts + 1
        # The limits are asked of the record as it was claimed, what is counted is the file's.
        limits = replace(thing.record, retries=hand.running.record.retries, final=hand.running.record.final)
        ended = limits.ended(self.how, runs, hand.settings, world.now)
        return thing.rests(replace(ended, retries=thing.record.retries, final=thing.record.final))

    def must(self, world: World, answer: Any) -> Iterable[str]:
        expected = isinstance(answer, OSError) if self.how == "no start" else answer is True
        assert expected, answer
        return [one.token for one in world.of("processing") if list(self.may(world, one))]


def _turn(thing: Thing) -> tuple[int, float]:
    assert thing.record is not None
    return -thing.record.priority, thing.created
