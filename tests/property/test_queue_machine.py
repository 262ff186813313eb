"""Whatever people, programs and crashes do to a spool, in whatever order: no job is lost, none is doubled.

Two clients, two workers and a person act on one spool, one after the other or one within the other. A model
goes along that knows every file by a token of its own: after each step each file must lie in the folder, and
say what the model says (`tests.support.play.model`); what a step may make of a file is told beside the step
(`steps`, `shifts`, `people`), and `verdict` puts that together.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Callable, Optional

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from queuectl import job, recorder
from queuectl.job import Job
from queuectl.queue import claims, verbs
from queuectl.queue.store import Store
from queuectl.system import SHARES_LOCKS
from tests.support.memory import memory
from tests.support.play.choices import Choice, choices
from tests.support.play.model import HOWS, World
from tests.support.play.play import Play
from tests.support.play.shifts import Claim, Finish, Work
from tests.support.play.steps import Command, Configure, Doctor, Look, Recover, Step

# A program that is killed closes nothing that it has open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

WINDOWS = os.name == "nt"
"""Where a step takes ten times as long."""
SEARCH = pytest.mark.skipif(WINDOWS, reason="thousands of steps until it shows, as on the other systems")
SLOTS = ("1", "2")
"""The workers' places: one that has died or left is followed by another."""
CALLS = st.integers(0, 12) | st.integers(0, 30)
"""How many calls one makes before another has the turn, or it is killed."""
INSTEAD = {
    "nothing": None,
    "emptiness": b"",
    "rubbish": b"rubbish",
    "a torn file": b"SQLite format 3\0" + bytes(4000),
}
"""Of the index that has been lost."""

FOCUS = st.sampled_from([True, True, False])

figures: Counter[str] = Counter()


class QueueMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        # The disk would take more time than everything else.
        self.home = tempfile.TemporaryDirectory(dir=memory(), prefix="queuectl-")
        self.play = Play(Path(self.home.name).resolve(), figures)
        self.slots: dict[str, str] = {}
        """The worker in each."""

    @property
    def world(self) -> World:
        return self.play.world

    def teardown(self) -> None:
        with self.home, closing(self.play):
            # Closed in any case: an example that is given up in the middle of a step has no sound end.
            if self.play.sound:
                self.play.end()

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """There is something already."""
        for _ in range(2):
            self.play.do(self.choose(data, Choice.configuration))
            self.play.do(self.choose(data, lambda choice: choice.enqueue(0)))

    # One step alone

    @rule(data=st.data())
    def command(self, data: st.DataObject) -> None:
        self.play.do(self.choose(data, Choice.command))

    @rule(data=st.data())
    def act_by_hand(self, data: st.DataObject) -> None:
        self.play.do(self.choose(data, Choice.act))

    @rule(fresh=st.sampled_from([True, True, False]))
    @precondition(lambda self: self.idle())
    def claim(self, fresh: bool) -> None:
        for slot in self.idle():
            self.claim_for(self.worker(slot), fresh=fresh)

    @rule(data=st.data())
    @precondition(lambda self: self.busy())
    def finish(self, data: st.DataObject) -> None:
        self.play.do(self.choose(data, lambda choice: choice.finish(self.busy())))

    @rule(data=st.data())
    @precondition(lambda self: self.idle())
    def meddle(self, data: st.DataObject) -> None:
        """Somebody does something to a job that runs."""
        name = self.worker(self.idle()[0])
        token = self.claim_for(name, fresh=True)
        for _ in range(data.draw(st.integers(1, 3)) if token else 0):
            kind = Choice.act if data.draw(st.booleans(), label="by hand") else Choice.command
            its = [one.token for one in self.world.of("processing") if one.worker == name]
            self.play.do(self.choose(data, kind, its))
        if token:
            self.play.do(self.choose(data, lambda choice: choice.finish([name])))

    @rule(ends=st.lists(st.sampled_from([*HOWS, "failure", "death", "death"]), min_size=1, max_size=5))
    @precondition(lambda self: self.idle())
    def run_again_and_again(self, ends: list[str]) -> None:
        """A worker takes jobs one after the other, and no retry has to be waited for."""
        for end in ends:
            slot = self.idle()[0]
            if not self.claim_for(self.worker(slot), fresh=True):
                return
            if end == "death":
                self.play.bury(self.slots.pop(slot))
                self.play.do(Recover(0) if len(ends) % 2 else Doctor(0, fix=True))
            else:
                self.play.do(Finish(self.slots[slot], end))
            self.play.wait(100)

    # One step within another

    @rule(data=st.data(), each=st.lists(st.lists(CALLS, min_size=1, max_size=4), min_size=1, max_size=4))
    def within(self, data: st.DataObject, each: list[list[int]]) -> None:
        """Somebody does something while somebody else does something, nearly always to the same job."""
        for turns in each:
            if self.idle() and data.draw(st.booleans(), label="looks first"):
                self.worker(self.idle()[0])
                self.play.do(Look(0))
            outer = self.choose(data, self.program)
            for _ in range(2):
                if not self.about(outer):
                    outer = self.choose(data, self.program)
            about = self.about(outer) if data.draw(FOCUS, label="about the same") else []
            kind = Choice.act if data.draw(st.booleans(), label="by hand") else self.program
            inner = self.choose(data, kind, about)
            if isinstance(outer, Command) and isinstance(inner, Command):
                inner = replace(inner, by=1 - outer.by)
            clash = isinstance(outer, Work) and isinstance(inner, Work) and outer.name == inner.name
            if not (clash or self.is_spoiled(outer)):
                self.play.within(outer, inner, turns)

    @rule(data=st.data(), calls=CALLS)
    def kill(self, data: st.DataObject, calls: int) -> None:
        """Whoever does something, in the middle of it."""
        step = self.choose(data, self.program)
        if not (isinstance(step, Configure) or self.is_spoiled(step)):
            self.play.killed(step, calls)
            self.slots = {slot: name for slot, name in self.slots.items() if self.world.hands[name].alive}

    # Around them

    @rule(seconds=st.sampled_from([0.5, 1, 3, 20, 20, 5000, -5, -5000]))
    def wait(self, seconds: float) -> None:
        self.play.wait(seconds)

    @rule(data=st.data())
    def change_something(self, data: st.DataObject) -> None:
        """A setting, who is there, or the index."""
        changes = [*SLOTS, "index", "setting", "setting", "setting", *self.outlived()]
        change = data.draw(st.sampled_from(changes))
        if change == "setting":
            self.play.do(self.choose(data, Choice.configuration))
        elif change == "index":
            self.lose_the_index(data.draw(st.sampled_from(sorted(INSTEAD))))
        elif change in SLOTS:
            self.lose_a_worker(change, outlived=data.draw(st.booleans()))
        else:
            self.play.end_command(change)

    def lose_a_worker(self, slot: str, *, outlived: bool) -> None:
        """It ends when it has nothing to do, else it is killed; with `outlived` its command goes on."""
        name = self.slots.pop(slot, None)
        if name is None:
            return
        if self.world.hands[name].running or self.world.has_strays(name):
            self.play.bury(name, outlived=outlived and SHARES_LOCKS)
        else:
            self.play.dismiss(name)

    def lose_the_index(self, instead: str) -> None:
        """It is deleted, or something else lies there."""
        for slot in SLOTS if WINDOWS else ():
            # Nobody can delete there what is open.
            self.lose_a_worker(slot, outlived=False)
        self.play.lose_the_index(INSTEAD[instead])

    @rule()
    def come_to_rest(self) -> None:
        self.play.come_to_rest()

    # Who is there

    def choose(self, data: st.DataObject, kind: Callable[[Choice], Step], about: Sequence[str] = ()) -> Step:
        return data.draw(choices(self.world, self.play.crew, kind, about))

    def program(self, choice: Choice) -> Step:
        """What clients and workers may do."""
        return choice.program([name for name in self.slots.values() if name not in self.busy()], self.busy())

    def about(self, step: Step) -> Sequence[str]:
        """The files that it may change, or the ids that it speaks of."""
        return self.world.concerned(step.may) or step.names

    def is_spoiled(self, step: Step) -> bool:
        """Whether a person has written over what runs: cut short, that may be kept twice, which harms
        nobody."""
        return isinstance(step, Finish) and any(not one.record for one in self.world.of("processing"))

    def busy(self) -> list[str]:
        return [name for name in self.slots.values() if self.world.hands[name].running]

    def idle(self) -> list[str]:
        return [slot for slot in SLOTS if self.slots.get(slot) not in self.busy()]

    def outlived(self) -> list[str]:
        return [name for name, hand in self.world.hands.items() if hand.outlived]

    def worker(self, slot: str) -> str:
        """The one in this place, or a new one."""
        if slot not in self.slots:
            self.slots[slot] = f"host-1-{slot}-n{len(self.world.hands)}"
            self.play.hire(self.slots[slot])
        return self.slots[slot]

    def claim_for(self, name: str, *, fresh: bool) -> Optional[str]:
        """The token of what it runs now."""
        if fresh:
            self.play.do(Look(0))
        token: Optional[str] = self.play.do(Claim(name, fresh=fresh))
        return token


def play(examples: int, steps: int, figure: Callable[[str, int], None], *, same: bool) -> None:
    figures.clear()
    plan = settings(
        max_examples=examples,
        stateful_step_count=steps,
        derandomize=same,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=True,
        # To make a failure as small as it can be takes minutes: only where somebody asks for it.
        phases=[Phase.generate, *([Phase.shrink] if "SHRINK" in os.environ else [])],
    )
    try:
        run_state_machine_as_test(QueueMachine, settings=plan)  # type: ignore[no-untyped-call]
    finally:
        for name, count in figures.items():
            figure(f"state machine: {name}", count)


def test_no_job_is_lost_or_doubled(figure: Callable[[str, int], None]) -> None:
    play(8 if WINDOWS else 12, 30, figure, same=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_job_is_lost_or_doubled_in_a_long_play(figure: Callable[[str, int], None]) -> None:
    """Another play each time with QUEUECTL_PLAY=random."""
    play(50 if WINDOWS else 250, 50, figure, same=os.environ.get("QUEUECTL_PLAY") != "random")


@pytest.mark.timeout(600)  # it looks for a play in which that shows, as long as it takes
@pytest.mark.parametrize(
    "careless",
    [
        pytest.param("a retry keeps its time", marks=[SEARCH, pytest.mark.slow]),
        pytest.param("one run too many", marks=[SEARCH, pytest.mark.slow]),
        "a name is never taken",
    ],
)
def test_a_careless_program_is_noticed(
    careless: str, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, int], None]
) -> None:
    """The control: what the play is there to notice, it notices."""
    if careless == "a retry keeps its time":
        retried = job.retried

        def keeping(one: Job, *, now: float) -> Job:
            return msgspec.structs.replace(retried(one, now=now), run_at=one.run_at)

        monkeypatch.setattr(job, "retried", keeping)
        monkeypatch.setattr(claims, "retried", keeping)
        monkeypatch.setattr(verbs, "retried", keeping)
    elif careless == "one run too many":
        after_failure = recorder.after_failure
        monkeypatch.setattr(
            recorder,
            "after_failure",
            lambda policy, **run: after_failure(policy._replace(max_retries=policy.max_retries + 1), **run),
        )
    else:
        monkeypatch.setattr(Store, "is_taken", lambda *_, **__: False)
    with pytest.raises(AssertionError):
        # It ends at the first find; what is played depends on the version of Python.
        play(500, 30, figure, same=True)
