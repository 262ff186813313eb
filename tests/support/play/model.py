"""What must be of every file in a spool, whatever has been done to it. Pure, and written after the manual.

A file is told by the token that its content holds, so it is known again whatever it is called by then, and
one that is lost, doubled, overwritten or counted wrongly is noticed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Optional

FOLDERS = {"pending": "pending", "failed": "failed", "completed": "done", "dead": "dead"}
FINISHED = ("completed", "failed", "dead")
WAITING = ("pending", "failed")
DEFAULTS: dict[str, float] = {
    "max_retries": 3,
    "backoff_base": 2,
    "backoff_max": 3600,
    "max_crashes": 3,
    "max_job_bytes": 2**20,
    "settle_time": 10,
}
SMALL = 1000
"""A limit in bytes between a usual job and one that is `fat`."""
FINAL = 7
"""The exit code after which these jobs are not tried again."""
HOWS = {
    "success": ("completed", 0, None),
    "failure": ("failed", 1, "exit code 1"),
    "final failure": ("failed", FINAL, "exit code 7"),
    "cancelled": ("cancelled", None, "cancelled"),
}
"""How a command ends: its outcome, exit code and error. Those that cost no attempt are apart."""
NO_RUN = ("interrupted", "no start")


@dataclass(frozen=True)
class Record:
    """What the file says, as far as it concerns the queue."""

    state: str = "pending"
    attempts: int = 0
    crashes: int = 0
    due: Optional[float] = None
    exit_code: Optional[int] = None
    error: Optional[str] = None
    updated: Optional[float] = None
    runs: tuple[str, ...] = ()
    command: str = "x"
    priority: int = 0
    retries: Optional[int] = None
    final: bool = False
    """Whether FINAL ends it."""

    def retried(self, now: float) -> Record:
        """Run again as if it never had."""
        fresh = {
            "state": "pending",
            "attempts": 0,
            "crashes": 0,
            "due": None,
            "exit_code": None,
            "error": None,
        }
        return replace(self, updated=now, **fresh)  # type: ignore[arg-type]

    def claimed(self, folder: str, now: float) -> Record:
        """What a worker gets."""
        if folder == "failed":
            return replace(self, state="processing", updated=now)
        return self.retried(now) if self.state in FINISHED else self

    def limit(self, settings: Mapping[str, float]) -> float:
        return settings["max_retries"] if self.retries is None else self.retries

    def ended(self, how: str, runs: int, settings: Mapping[str, float], now: float) -> Record:
        """Its run has ended like this, the `runs`-th since somebody wanted it."""
        outcome, code, error = HOWS[how]
        if outcome == "completed":
            state = "completed"
        elif outcome == "cancelled" or runs > self.limit(settings) or (code == FINAL and self.final):
            state = "dead"
        else:
            state = "failed"
        then = replace(self, attempts=self.attempts + 1, exit_code=code, error=error)
        return then._rests(state, outcome, settings, runs, now)

    def crashed(self, worker: str, cancelled: bool, settings: Mapping[str, float], now: float) -> Record:
        """Its worker died in its run."""
        crashes = self.crashes + 1
        state = "dead" if cancelled or crashes >= settings["max_crashes"] else "failed"
        error = f"{'cancelled; ' if cancelled else ''}worker {worker} died while it ran"
        then = replace(self, crashes=crashes, exit_code=None, error=error)
        return then._rests(state, "cancelled" if cancelled else "crashed", settings, crashes, now)

    def cancelled(self, now: float) -> Record:
        """Given up while it waited."""
        return replace(self, state="dead", due=None, updated=now, error="cancelled")

    def _rests(
        self, state: str, outcome: str, settings: Mapping[str, float], count: int, now: float
    ) -> Record:
        wait = min(settings["backoff_base"] ** count, settings["backoff_max"]) if state == "failed" else 0
        return replace(
            self, state=state, due=now + wait if wait else None, updated=now, runs=(*self.runs, outcome)
        )


@dataclass(frozen=True)
class Thing:
    """One file. Two are equal when they lie in the same folder and say the same."""

    token: str
    folder: str
    """As in `pending` or `processing/<worker>`."""
    record: Optional[Record]
    """None: it is no job."""
    fat: bool = False
    name: str = field(default="", compare=False)
    created: float = field(default=0.0, compare=False)
    inner: Optional[str] = field(default=None, compare=False)
    """The id that its record gives."""
    noted: bool = field(default=False, compare=False)
    """Whether a note beside it says why it was set aside."""

    @property
    def stem(self) -> str:
        """Its id."""
        return self.name.split(".json")[0]

    @property
    def hidden(self) -> bool:
        """Whether it is named as where extensions are hidden, and not known under its id yet."""
        return not self.name.endswith(".json")

    @property
    def worker(self) -> Optional[str]:
        return self.folder.split("/")[1] if "/" in self.folder else None

    @property
    def due(self) -> Optional[float]:
        """Before this it may not run; None: it may."""
        assert self.record is not None
        return None if self.folder == "pending" and self.record.state in FINISHED else self.record.due

    def at(self, folder: str, record: Optional[Record] = None) -> Thing:
        """It, moved there with this in it."""
        return replace(self, folder=folder, record=record or self.record)

    def rests(self, record: Record) -> Thing:
        """It, where what its record now says belongs."""
        return self.at(FOLDERS[record.state], record)


@dataclass
class Hand:
    """A worker, as the others see it."""

    name: str
    settings: dict[str, float]
    """Those of the index that it has open."""
    alive: bool = True
    running: Optional[Thing] = None
    """As it was when it was claimed."""
    asked: Optional[str] = None
    """The id of the job that it is to end."""
    outlived: Optional[str] = None
    """The id of the job whose command has outlived it: what it has is still owned."""
    ran: Optional[str] = None
    """The id of the job that it ran when it died."""


class World:
    """All that is known of one spool."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.things: dict[str, Thing] = {}
        self.settings = dict(DEFAULTS)
        self.paused = False
        self.hands: dict[str, Hand] = {}
        self.unseen: set[str] = set()
        """Files that people have named, at which no program has looked since."""
        self.postponed: dict[str, float] = {}
        """Until when a file that could not be moved, or started, is passed over, at the most."""
        self.lacking: dict[str, float] = {}
        """Since when it could not be started, at the earliest."""
        self.written_over: dict[str, str] = {}
        """Of what somebody has written over a file: the token of what was there, whose wait it inherits."""
        self.drops: set[str] = set()
        """Those of them whose name nobody had before."""
        self.names: set[str] = set()
        """The ids that there have been, as far as an index may remember."""
        self.since: dict[str, float] = {}
        """Of what is no job and waits: when it was put there, at the latest."""

    # What lies where

    def copy(self) -> World:
        """Another, in which something else can happen."""
        other = World(self.now)
        other.things, other.since, other.unseen = dict(self.things), dict(self.since), set(self.unseen)
        other.settings, other.postponed = dict(self.settings), self.postponed
        other.lacking, other.written_over = dict(self.lacking), dict(self.written_over)
        other.paused, other.drops, other.names = self.paused, set(self.drops), set(self.names)
        other.hands = {name: replace(hand) for name, hand in self.hands.items()}
        return other

    def of(self, *folders: str) -> list[Thing]:
        return [one for one in self.things.values() if one.folder.split("/")[0] in folders]

    def locate(self, job_id: str) -> Optional[Thing]:
        """The file of this id, the first along the way that jobs go."""
        for folder in ("pending", "processing", "failed", "done", "dead"):
            for one in sorted(self.of(folder), key=lambda one: one.folder):
                if one.name == f"{job_id}.json":
                    return one
        return None

    def twins(self, thing: Thing, *, exact: bool = False) -> list[Thing]:
        """Other files of its id; not `exact`: those that Windows would call the same too."""
        others = (
            one for one in self.things.values() if one.token != thing.token and not (exact and one.hidden)
        )
        return [one for one in others if _same(one.stem, thing.stem, exact)]

    def known_twins(self, thing: Thing) -> list[Thing]:
        """Those of which the index has a row, as far as can be said: of several of one name it has one.

        One that was too large until the limit was raised is taken in at the look after the next.
        """
        twins = (one for one in self.twins(thing) if one.token not in self.unseen and not one.hidden)
        jobs = (one for one in twins if self.is_job(one) and not (one.fat and one.folder == "pending"))
        return [one for one in jobs if not self.twins(one, exact=True)]

    def is_known(self, job_id: str, *, exact: bool = False) -> bool:
        named = (one for one in self.things.values() if not (exact and one.hidden))
        return any(_same(one.stem, job_id, exact) for one in named)

    def concerned(self, may: Callable[[World, Thing], Iterable[Optional[Thing]]]) -> list[str]:
        """The tokens of what a step may change."""
        changed = (one for one in self.things.values() if any(then != one for then in may(self, one)))
        return sorted(one.token for one in changed)

    def has_strays(self, worker: str) -> bool:
        return any(one.worker == worker for one in self.of("processing"))

    # What may happen to it

    def too_large(self, thing: Thing) -> bool:
        return thing.fat and self.settings["max_job_bytes"] <= SMALL

    def is_job(self, thing: Thing) -> bool:
        """Whether it can be read where it lies; the limit of size is for what has not run yet."""
        return thing.record is not None and not (thing.folder == "pending" and self.too_large(thing))

    def may_start(self, thing: Thing) -> bool:
        """Whether a worker that is to look for work may take it, for all that is known of it."""
        if thing.folder not in WAITING or thing.hidden or not self.is_job(thing):
            return False
        return thing.due is None or thing.due <= self.now

    def is_spent(self, thing: Thing, settings: Mapping[str, float]) -> bool:
        """Whether it waits for a retry that it has no more, since the limit was lowered."""
        record = thing.record
        return record is not None and thing.folder == "failed" and record.attempts > record.limit(settings)

    def is_abandoned(self, thing: Thing) -> bool:
        """Whether it lies with a worker that is gone, command and all."""
        hand = self.hands.get(thing.worker or "")
        return hand is not None and not (hand.alive or hand.outlived or thing.hidden)

    def still_runs(self, job_id: str) -> bool:
        """Whether a command of this id goes on, wherever somebody has put its file."""
        running = [hand.running.stem for hand in self.hands.values() if hand.running]
        return job_id in (*running, *(hand.outlived for hand in self.hands.values()))

    def is_postponed(self, thing: Thing) -> bool:
        tokens = [thing.token]
        while tokens[-1] in self.written_over:
            # While it ran, perhaps: the wait is that of the name.
            tokens.append(self.written_over[tokens[-1]])
        waits = any(self.postponed.get(token, self.now) > self.now for token in tokens)
        return waits or self.still_runs(thing.stem)

    def note_start(self, token: str, *, lacking: bool) -> None:
        """That it could be started, or could not for what the machine lacks."""
        if lacking:
            since = min(self.now, self.lacking.setdefault(token, self.now))
            until = self.now + min(max(1.0, self.now - since), 60.0)
            self.postponed = {**self.postponed, token: until}
        else:
            self.lacking.pop(token, None)

    def is_settled(self, token: str) -> bool:
        """Whether what is no job has lain still for so long that it may be said to be none."""
        return self.now - self.since.get(token, self.now) >= self.settings["settle_time"]

    # What becomes of it

    def recovered(self, thing: Thing, *, cancelled: bool = False) -> Iterator[Thing]:
        """With `cancelled` somebody has asked for its end just then."""
        if not self.is_abandoned(thing):
            return
        hand = self.hands[thing.worker or ""]
        cancelled = cancelled or hand.asked == thing.stem
        if thing.record is None:
            yield thing.at("dead")
        elif thing.record.state == "failed" and cancelled:
            yield thing.at("dead", thing.record.cancelled(self.now))
        elif thing.record.state in FINISHED:
            yield thing.rests(thing.record)
        else:
            yield thing.rests(thing.record.crashed(hand.name, cancelled, self.settings, self.now))
            if thing.stem != hand.ran:
                # Somebody has put it there; where it is told what ran, that did not.
                yield thing.rests(replace(thing.record, state="pending"))

    def set_aside(self, thing: Thing) -> Iterator[Thing]:
        if thing.folder in WAITING and not self.is_job(thing) and self.is_settled(thing.token):
            yield thing.at("dead")

    # What is told of it

    def row(self, thing: Thing) -> dict[str, Any]:
        """What `list` must tell of this job."""
        record = thing.record
        state = next((name for name, folder in FOLDERS.items() if folder == thing.folder), "processing")
        if record is None:
            return {"id": thing.stem, "state": state}
        if thing.folder == "pending" and record.state in FINISHED:
            record = replace(record.retried(0), updated=record.updated)
        told = {
            "id": thing.stem,
            "state": state,
            "command": record.command,
            "attempts": record.attempts,
            "crashes": record.crashes,
            "max_retries": record.limit(self.settings),
            "priority": record.priority,
            "exit_code": record.exit_code,
            "error": record.error,
            "worker": thing.worker,
        }
        if thing.noted:
            # The note says more.
            del told["error"]
        return told

    # What goes on around it

    def pass_to(self, now: float) -> None:
        """The clock is set to this."""
        self.now = now
        self.since = {token: min(since, now) for token, since in self.since.items()}

    def see(self, things: Mapping[str, Thing]) -> None:
        """These are there now, as they must be; from here on they are what is known."""
        for token, one in things.items():
            before = self.things.get(token)
            if one.folder in WAITING and (
                before is None or before.folder != one.folder or token not in self.since
            ):
                self.since[token] = self.now
            if before is None or before.folder != one.folder:
                # A program has put it there, and knows of it.
                self.drops -= {token} if before or (one.record and one.record.updated) else set()
        self.things = dict(things)
        self.names |= {one.stem for one in things.values()}


def fold(job_id: str) -> str:
    """The form in which two ids are the same on Windows."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", job_id).casefold())


def _same(one: str, other: str, exact: bool) -> bool:
    return one == other if exact else fold(one) == fold(other)
