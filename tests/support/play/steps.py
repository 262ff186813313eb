"""What programs do to a spool, step by step, and what the model says of each step. `shifts` has the workers'.

`begin` lets an actor do it. `may` are the things that it may make of one thing, `must` are the tokens of
those that it must have made something of, for what it answered; an answer that it should not have given is
refused there. `then` is what is different afterwards besides the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from queuectl.errors import Busy, Conflict, DamagedRecord, InvalidInput, NoSuchJob, QueueError
from queuectl.queue.doctor import examine
from queuectl.queue.recovery import recover
from tests.support.invariants import lasting_problems
from tests.support.play.actors import Actor
from tests.support.play.crew import Crew, job_of
from tests.support.play.model import DEFAULTS, WAITING, Record, Thing, World

LUCK = 0.5


@dataclass(frozen=True)
class Step:
    """Nothing, done by nobody."""

    exact: ClassVar[bool] = True
    """Whether it may make something of no other things than those of which it must."""
    atomic: ClassVar[bool] = True
    """Whether what it answers is of one moment."""

    def begin(self, crew: Crew) -> Actor:
        raise NotImplementedError

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        """None: it may be gone."""
        yield from ()

    def must(self, world: World, answer: Any) -> Iterable[str]:
        assert not isinstance(answer, Exception), answer
        return ()

    def brings(self, world: World, answer: Any) -> dict[str, Thing]:
        return {}

    def then(self, world: World, answer: Any) -> None:
        return

    def judge_end(self, world: World, answer: Any, seen: Mapping[str, Thing]) -> None:
        """What must hold afterwards, whatever programs did meanwhile."""

    @property
    def names(self) -> tuple[str, ...]:
        """The ids that it speaks of."""
        return ()


@dataclass(frozen=True)
class Command(Step):
    """What a client does."""

    by: int

    def begin(self, crew: Crew) -> Actor:
        client = crew.client(self.by)
        client.actor.start(lambda: self.act(crew))
        return client.actor

    def act(self, crew: Crew) -> Any:
        raise NotImplementedError


@dataclass(frozen=True)
class Enqueue(Command):
    ids: tuple[str, ...]
    first: int
    """The number of the first one's token."""
    rename: bool = False
    priority: int = 0
    retries: Optional[int] = None
    fat: bool = False
    final: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return self.ids

    @property
    def tokens(self) -> list[str]:
        return [f"token{self.first + number:04}" for number in range(len(self.ids))]

    def act(self, crew: Crew) -> Any:
        fields: dict[str, Any] = {"fat": self.fat, "final": self.final, "priority": self.priority}
        if self.retries is not None:
            fields["max_retries"] = self.retries
        jobs = [job_of(token, id=job_id, **fields) for job_id, token in zip(self.ids, self.tokens)]
        return [place.job_id for place in crew.client(self.by).desk.queue.enqueue(jobs, rename=self.rename)]

    def must(self, world: World, answer: Any) -> Iterable[str]:
        if self.fat and world.settings["max_job_bytes"] < DEFAULTS["max_job_bytes"]:
            assert isinstance(answer, InvalidInput), answer
            return ()
        doubled = any(world.is_known(one, exact=True) for one in self.ids) or len(self.ids) > len(
            set(self.ids)
        )
        alike = any(world.is_known(one) for one in self.ids) or len(self.ids) > 1
        if isinstance(answer, Exception):
            assert isinstance(answer, Conflict), answer
            assert alike, f"refused, though none of {self.ids} is there"
            assert not self.rename
        else:
            assert self.rename or not doubled, f"accepted, though one of {self.ids} is there"
            names = zip(self.ids, answer)
            assert all(self.rename or one == other for one, other in names), answer
        return ()

    def brings(self, world: World, answer: Any) -> dict[str, Thing]:
        if isinstance(answer, Exception):
            return {}
        record = Record(updated=world.now, priority=self.priority, retries=self.retries, final=self.final)
        things = [
            Thing(token, "pending", record, self.fat, f"{job_id}.json", world.now, job_id)
            for token, job_id in zip(self.tokens, self.ids if answer is None else answer)
        ]
        return {one.token: one for one in things}


@dataclass(frozen=True)
class OnOne(Command):
    """What is done to the job of one id."""

    job_id: str

    def subject(self, world: World, answer: Any, *states: str) -> Optional[Thing]:
        """The job, if it should have been done; whatever else was answered is looked at."""
        thing = world.locate(self.job_id)
        wanted: Optional[type[QueueError]] = None
        if thing is None:
            wanted = NoSuchJob
        elif thing.folder.split("/")[0] not in states:
            wanted = Conflict
        elif self.reads and (thing.record is None or (self.measures(thing) and world.too_large(thing))):
            wanted = DamagedRecord
        told = type(answer) if isinstance(answer, Exception) else None
        # Of two files of one id, the other one may have been meant, before somebody else moved this one.
        doubled = thing is not None and wanted is Conflict and world.twins(thing)
        assert told is wanted or (doubled and told is None), f"{answer!r} is answered for {thing}"
        return None if wanted else thing

    @property
    def names(self) -> tuple[str, ...]:
        return (self.job_id,)

    @property
    def reads(self) -> bool:
        return True

    def measures(self, thing: Thing) -> bool:
        return thing.folder == "pending"


@dataclass(frozen=True)
class Retry(OnOne):
    def act(self, crew: Crew) -> Any:
        crew.client(self.by).desk.queue.retry([self.job_id])

    def measures(self, thing: Thing) -> bool:
        return True

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.stem == self.job_id and thing.folder in ("failed", "done", "dead") and thing.record:
            yield thing.at("pending", thing.record.retried(world.now))

    def must(self, world: World, answer: Any) -> Iterable[str]:
        thing = self.subject(world, answer, "failed", "done", "dead")
        return [thing.token] if thing else []


@dataclass(frozen=True)
class RetryAll(Command):
    exact = atomic = False

    def act(self, crew: Crew) -> Any:
        return crew.client(self.by).desk.queue.retry_all_dead()

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.folder == "dead" and thing.record and not world.too_large(thing):
            yield thing.at("pending", thing.record.retried(world.now))

    def must(self, world: World, answer: Any) -> Iterable[str]:
        super().must(world, answer)
        dead = [one for one in world.of("dead") if not (one.hidden or world.twins(one))]
        retried = [one for one in dead if list(self.may(world, one))]
        assert {one.stem for one in retried} <= set(answer[0])
        assert len(answer[1]) >= len(dead) - len(retried)
        return [one.token for one in retried]


@dataclass(frozen=True)
class Cancel(OnOne):
    atomic = False
    """What runs is waited for, and may have ended by itself."""

    def act(self, crew: Crew) -> Any:
        crew.client(self.by).desk.queue.cancel([self.job_id], deadline=0.05)

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        for one in (thing, *world.recovered(thing), *world.recovered(thing, cancelled=True)):
            yield one
            if one.stem == self.job_id and one.folder in WAITING and one.record:
                yield one.at("dead", one.record.cancelled(world.now))

    def judge_end(self, world: World, answer: Any, seen: Mapping[str, Thing]) -> None:
        before = world.locate(self.job_id)
        now = seen.get(before.token) if before else None
        if now is not None and now.stem != self.job_id:
            # Of two of that name this one has been renamed: the other one has it now.
            now = next((one for one in seen.values() if one.stem == self.job_id), now)
        if answer is None and now is not None:
            runs = now.worker is not None and world.hands[now.worker].alive
            assert now.folder not in WAITING and not runs, f"said to be cancelled: {now}"

    def must(self, world: World, answer: Any) -> Iterable[str]:
        thing = world.locate(self.job_id)
        if thing is None or not thing.worker:
            thing = self.subject(world, answer, *WAITING)
            return [thing.token] if thing else []
        # One that waits for a worker which has gone sees to all such workers.
        alive = world.hands[thing.worker].alive
        abandoned = [one.token for one in world.of("processing") if world.is_abandoned(one) and not alive]
        if thing.token not in abandoned:
            assert isinstance(answer, Busy), answer
            return abandoned
        freed = next(world.recovered(thing))
        if freed.folder == "done":
            assert isinstance(answer, Conflict), answer
        elif freed.folder in WAITING and not freed.record:
            assert isinstance(answer, DamagedRecord), answer
        else:
            assert answer is None, answer
            # Where a person has called another job so, too, that one has the name when ours is taken out.
            namesakes = (one for one in world.of(freed.folder) if one.folder in WAITING)
            return [*abandoned, *(one.token for one in namesakes if one.stem == self.job_id)]
        return abandoned


@dataclass(frozen=True)
class Purge(OnOne):
    def act(self, crew: Crew) -> Any:
        return crew.client(self.by).desk.queue.purge([self.job_id])

    @property
    def reads(self) -> bool:
        return False

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if thing.stem == self.job_id and thing.folder == "dead":
            yield None

    def must(self, world: World, answer: Any) -> Iterable[str]:
        thing = self.subject(world, answer, "dead")
        # It answers with none when the job was retried between its look and its lock.
        return [thing.token] if thing and answer != [] else []


@dataclass(frozen=True)
class Look(Command):
    """What a running worker's process does every second."""

    exact = False

    def act(self, crew: Crew) -> Any:
        desk = crew.client(self.by).desk
        desk.look()
        desk.store.index.promote(desk.clock())

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        yield from world.set_aside(thing)

    def then(self, world: World, answer: Any) -> None:
        world.unseen.clear()
        world.drops.clear()

    def judge_end(self, world: World, answer: Any, seen: Mapping[str, Thing]) -> None:
        for token in world.drops & seen.keys():
            before, now = world.things[token], seen[token]
            known = [
                one for one in world.twins(before) if one.token not in world.unseen and world.is_job(one)
            ]
            known = [one for one in known if not one.hidden]
            if before.folder == now.folder == "pending" and world.is_job(before):
                assert not known or now.name != before.name, f"{now} is not renamed in spite of {known}"


@dataclass(frozen=True)
class Recover(Command):
    atomic = False

    def act(self, crew: Crew) -> Any:
        desk = crew.client(self.by).desk
        freed = recover(desk.store, desk.clock(), LUCK)
        return [(one.job_id, one.state.value) for one in freed]

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        yield from world.recovered(thing)

    def must(self, world: World, answer: Any) -> Iterable[str]:
        super().must(world, answer)
        abandoned = [one for one in world.of("processing") if world.is_abandoned(one)]
        assert len(answer) == len(abandoned), answer
        return [one.token for one in abandoned]


@dataclass(frozen=True)
class Doctor(Command):
    exact = atomic = False

    fix: bool

    def act(self, crew: Crew) -> Any:
        examine(crew.client(self.by).desk.store, fix=self.fix)

    def may(self, world: World, thing: Thing) -> Iterator[Optional[Thing]]:
        if self.fix:
            for one in (thing, *world.recovered(thing)):
                yield one
                yield from world.set_aside(one)

    def must(self, world: World, answer: Any) -> Iterable[str]:
        super().must(world, answer)
        abandoned = (one for one in world.of("processing") if self.fix and world.is_abandoned(one))
        return [one.token for one in abandoned]

    def then(self, world: World, answer: Any) -> None:
        if self.fix:
            Look.then(self, world, answer)
        else:
            Tell.then(self, world, answer)


@dataclass(frozen=True)
class Tell(Command):
    """`status` and `list`, or with `anew` after `reindex`."""

    atomic = False

    anew: bool

    def act(self, crew: Crew) -> Any:
        queue = crew.client(self.by).desk.queue
        if self.anew:
            queue.reindex()
        status = queue.status()
        return status.counts, sorted(queue.jobs(), key=lambda row: str(row["id"])), lasting_problems(status)

    def must(self, world: World, answer: Any) -> Iterable[str]:
        super().must(world, answer)
        counts, rows, problems = answer
        told = {row["id"]: row for row in rows}
        # One of two that are alike takes the place of the other, which is no job any more, at the next look.
        settled = not any(map(world.twins, world.things.values()))
        assert len(told) == len(rows) and (sum(counts.values()) == len(rows) or not settled), (counts, rows)
        for thing in world.things.values():
            row, wanted = told.get(thing.stem), world.row(thing)
            if (
                row is None
                or (row["state"], row["worker"]) != (wanted["state"], thing.worker)
                or thing.hidden
            ):
                # What is no job, or one of several of its name, is told as a problem.
                # So is one that was too large until the limit was raised, for one look more.
                was_large = thing.fat and thing.folder == "pending"
                is_odd = thing.hidden or world.twins(thing) or not world.is_job(thing)
                assert is_odd or was_large, f"{thing} is not told"
                told_of = [line for line in problems if line.startswith(f"{thing.folder}/{thing.name}: ")]
                assert told_of or thing.worker, f"{thing} is told neither as a job nor as a problem"
            elif not world.twins(thing) and not (thing.fat and thing.folder == "dead"):
                assert thing.record or thing.folder not in WAITING, f"{thing} is told as a job"
                told_as = {name: row[name] for name in wanted}
                assert told_as == wanted, f"{thing} is told as {told_as}"
        return ()

    def then(self, world: World, answer: Any) -> None:
        # Those that have no like get a row; the others wait to be renamed.
        world.drops &= {one.token for one in world.things.values() if world.known_twins(one)}
        world.unseen.clear()


@dataclass(frozen=True)
class Pause(Command):
    """Or with `over`, resume."""

    over: bool

    def act(self, crew: Crew) -> Any:
        queue = crew.client(self.by).desk.queue
        return queue.resume() if self.over else queue.pause()

    def must(self, world: World, answer: Any) -> Iterable[str]:
        assert answer == (world.paused is self.over), answer
        return ()

    def then(self, world: World, answer: Any) -> None:
        world.paused = not self.over


@dataclass(frozen=True)
class Configure(Command):
    name: str
    value: Optional[float]

    def act(self, crew: Crew) -> Any:
        queue = crew.client(self.by).desk.queue
        if self.value is None:
            return queue.unset_config(self.name)
        return queue.set_config(self.name, str(self.value))

    def then(self, world: World, answer: Any) -> None:
        world.settings[self.name] = DEFAULTS[self.name] if self.value is None else self.value
        assert answer == world.settings[self.name]
