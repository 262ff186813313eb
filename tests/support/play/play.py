"""Steps at one spool: alone, one within the other, or cut short by a kill; each is judged by the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

from queuectl.errors import Busy, QueueError
from tests.support.invariants import check
from tests.support.play.actors import BLOCKED, MOVE, PAUSED, WAITING, Actor
from tests.support.play.crew import Crew
from tests.support.play.model import DEFAULTS, Hand, World
from tests.support.play.people import Person
from tests.support.play.shifts import Claim, Finish, Work
from tests.support.play.steps import Cancel, Command, Look, Pause, Recover, Step, Tell
from tests.support.play.verdict import Deed, Verdict
from tests.support.spools import Clock

_ROUNDS = 1000
"""Turns after which those who wait for each other are said to do so for ever."""


class Play:
    """One spool, who acts there, and what is known of it."""

    def __init__(self, folder: Path, figures: Counter[str]) -> None:
        self.root = folder / "spool"
        self.clock = Clock()
        self.crew = Crew(self.root, self.clock)
        self.crew.client(0)
        self.world = World(self.clock())
        self.figures = figures
        self.sound = True
        """What was done last has come out well."""
        self.untidy = False
        """A program was killed, which may have left something in `tmp/`."""

    def close(self) -> None:
        self.figures["calls of programs"] += self.crew.stage.calls
        self.crew.close()

    # Steps

    def do(self, step: Step) -> Any:
        """Alone."""
        self.figures["steps"] += 1
        deed = (
            self._done(step, self._end(step.begin(self.crew)))
            if not isinstance(step, Person)
            else Deed(step, step.act(self.crew))
        )
        self._settle(deed)
        return deed.answer

    def within(self, outer: Step, inner: Step, turns: Sequence[int]) -> None:
        """One within the other: each makes so many calls in turn, then they go on as they can."""
        self.figures["within"] += 1
        actor = outer.begin(self.crew)
        if actor.go(turns[0]) not in (PAUSED, BLOCKED):
            self.figures["steps"] += 1
            self._settle(self._done(outer, actor))
            self.do(inner)
            return
        self.figures["steps"] += 2
        self.figures["steps within another"] += 1
        if isinstance(inner, Person):
            _pass_by_a_move(actor)
            deed = Deed(inner, inner.act(self.crew))
            self._settle(self._done(outer, self._end(actor)), deed)
        else:
            other = inner.begin(self.crew)
            self._take_turns([other, actor], turns[1:])
            self._settle(self._done(outer, actor), self._done(inner, other))

    def killed(self, step: Step, calls: int) -> None:
        """Whoever does it is killed after so many calls."""
        self.figures["steps"] += 1
        actor = step.begin(self.crew)
        state = actor.go(calls)
        while state == BLOCKED:
            state = actor.go(calls)
        if state != PAUSED:
            self._settle(self._done(step, actor))
            return
        self.figures["deaths"] += 1
        if isinstance(step, Work):
            self.crew.employees[step.name].die(outlived=False)
            self._settle(Deed(step, killed=True))
            self.world.hands[step.name].alive = False
        elif isinstance(step, Command):
            self.crew.kill_client(step.by)
            self.untidy = True
            self._settle(Deed(step, killed=True))

    # Workers

    def hire(self, name: str) -> None:
        self.crew.hire(name)
        self.world.hands[name] = Hand(name, self.world.settings)

    def bury(self, name: str, *, outlived: bool = False) -> None:
        """This worker is killed; with `outlived` its command goes on."""
        running = self.world.hands[name].running
        self.crew.employees[name].die(outlived=outlived)
        self.world.hands[name].alive, self.world.hands[name].running = False, None
        self.world.hands[name].ran = running.stem if running else None
        self.world.hands[name].outlived = running.stem if outlived and running else None

    def dismiss(self, name: str) -> None:
        """This worker, which has nothing to do, ends by itself."""
        self.crew.employees[name].close()
        self.world.hands[name].alive = False

    def end_command(self, name: str) -> None:
        """Of a worker that it has outlived."""
        self.crew.employees[name].end_command()
        self.world.hands[name].outlived = None

    # Time

    def wait(self, seconds: float) -> None:
        """As long as it takes, or back where the clock was put right."""
        self.clock.advance(seconds)
        self.world.pass_to(self.clock())

    def lose_the_index(self, instead: Optional[bytes]) -> None:
        """It is deleted while no command goes on, or this lies there instead."""
        self.crew.dismiss_clients()
        for path in self.root.glob("index.sqlite3*"):
            path.unlink()
        if instead is not None:
            (self.root / "index.sqlite3").write_bytes(instead)
        self.world.settings = dict(DEFAULTS)
        self.world.unseen |= set(self.world.things)
        self.world.names.clear()
        self.crew.client(0)

    # What must hold

    def come_to_rest(self) -> None:
        """Nothing happens for a while: what needs a hand has been seen to, and all is told as it is."""
        self._free_strays()
        self.do(Tell(0, anew=False))
        self.do(Look(0))
        self.wait(self.world.settings["settle_time"] + 1)
        self.do(Look(0))
        self.do(Look(0))
        for thing in self.world.of("pending", "failed"):
            if thing.folder == "pending":
                assert not self.world.twins(thing, exact=True), f"not renamed: {thing}"
            elif self.world.twins(thing):
                # Here a person must say which of the two is which.
                continue
            assert not thing.hidden, f"not renamed: {thing}"
            assert thing.record is not None, f"not set aside: {thing}"
        before = self.do(Tell(0, anew=False))
        after = self.do(Tell(0, anew=True))
        if self.is_orderly():
            assert before == after, f"before reindex {before}\nafterwards {after}"

    def _free_strays(self) -> None:
        """Let workers that have nothing to do see to their folders, and take no job."""
        idle = [name for name, hand in self.world.hands.items() if hand.alive and not hand.running]
        with_strays = [name for name in idle if self.world.has_strays(name)]
        paused = self.world.paused or not with_strays
        for step in [*([] if paused else [Pause(0, False)]), *map(Claim, with_strays)]:
            self.do(step)
        if not paused:
            self.do(Pause(0, over=True))

    def is_orderly(self) -> bool:
        """Whether nothing is so that it depends on who came first what is told of it."""
        world = self.world
        several = any(world.twins(one) or world.too_large(one) for one in world.things.values())
        return not several and not any(world.still_runs(one.stem) for one in world.of("pending", "failed"))

    def end(self) -> None:
        """As far as nobody has made a mess, the other checker has nothing to say either."""
        for name, hand in self.world.hands.items():
            if hand.outlived:
                self.end_command(name)
        self.do(Recover(0))
        self.come_to_rest()
        things = list(self.world.things.values())
        messy = [one for one in things if one.hidden or one.inner not in (None, one.stem)]
        rubbish = [one for one in things if one.record is None and not one.noted]
        if self.is_orderly() and not (messy or rubbish or self.untidy):
            check(self.root, [one.stem for one in things if one.record], attempts_matter=False)

    def _settle(self, *deeds: Deed) -> None:
        self.sound = False
        seen = self.crew.look()
        Verdict(self.world, list(deeds), seen).pronounce()
        if len(deeds) == 1 and not deeds[0].killed:
            self._judge_request(deeds[0])
        for deed in deeds:
            if deed.killed:
                # The index does not know of what was done last.
                self.world.unseen |= {token for token in seen if seen[token] != self.world.things.get(token)}
            else:
                deed.step.then(self.world, deed.answer)
        self.world.see(seen)
        self.world.paused = (self.root / "paused.txt").exists()
        for name, hand in self.world.hands.items():
            hand.running = self.crew.running(name) if hand.alive else None
            hand.asked = self.crew.asked(name)
        self.sound = True

    def _judge_request(self, deed: Deed) -> None:
        """Who asks for the end of what runs leaves a request, and it is gone before the next run."""
        step = deed.step
        if isinstance(step, Cancel) and isinstance(deed.answer, Busy):
            thing = self.world.locate(step.job_id)
            alive = thing and thing.worker and self.world.hands[thing.worker].alive
            assert not (thing and alive) or self.crew.asked(thing.worker or "") == step.job_id, (
                "nobody is asked"
            )
        elif isinstance(step, Finish) and step.how != "no start":
            running = self.world.hands[step.name].running
            assert running and self.crew.asked(step.name) != running.stem, "its next run will be cancelled"

    def _done(self, step: Step, actor: Actor) -> Deed:
        if isinstance(step, Claim) and actor.state == WAITING:
            running = self.crew.running(step.name)
            assert running is not None
            return Deed(step, running.token)
        try:
            answer = actor.result()
        except QueueError as error:
            return Deed(step, error)
        except OSError as error:
            if isinstance(step, Finish) and step.how == "no start":
                return Deed(step, error)
            raise
        return Deed(step, None if isinstance(step, Claim) else answer)

    def _end(self, actor: Actor) -> Actor:
        self._take_turns([actor], [])
        return actor

    @staticmethod
    def _take_turns(actors: list[Actor], turns: Sequence[int]) -> None:
        going = list(actors)
        for number in range(_ROUNDS):
            if not going:
                return
            actor = going[number % len(going)]
            if actor.go(turns[number] if number < len(turns) else None) not in (PAUSED, BLOCKED):
                going.remove(actor)
        raise AssertionError("they wait for ever")


def _pass_by_a_move(actor: Actor) -> None:
    """Let it make its move if it is about to.

    Between the last look at a name and the move to it lies nothing but the system call: whatever a person
    does in that very moment, no program can see.
    """
    while actor.state == PAUSED and actor.before == MOVE:
        actor.go(0)
