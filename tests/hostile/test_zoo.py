"""Broken files of every kind, in every folder, under every verb: told, set aside or left; never destroyed."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Callable

import pytest

from queuectl.codec import decode_job, is_blank
from queuectl.errors import InvalidInput
from queuectl.job import USER_FIELDS
from queuectl.queue.notices import PROBLEMS_SHOWN
from tests.support.hostile.calls import call, drain, ok
from tests.support.hostile.zoo import (
    BLANK,
    JOB,
    NO_JOB,
    RECORD,
    TOO_LARGE,
    Animal,
    job,
    large,
    small,
    truncations,
)

Figure = Callable[[str, int], None]

DEAD_WORKER = "processing/host-1-1-old"
FOLDERS = ["pending", DEAD_WORKER, "failed", "done", "dead"]
LOOKS = (
    ("status", "--json"),
    ("status",),
    ("status", "--watch"),
    ("list",),
    ("list", "--json"),
    ("list", "--state", "dead", "--tag", "t"),
    ("dlq", "list"),
    ("worker", "list"),
    ("worker", "stop"),
    ("doctor",),
    ("reindex",),
    ("doctor", "--json"),
)
LOOKS_AT_ONE = (("show",), ("show", "--json"), ("logs",), ("logs", "--follow"), ("dlq", "show"))
ACTS_ON_ONE = (("retry",), ("dlq", "retry"), ("cancel",))
REFUSED = {3, 4, 6}
"""No such job; nothing that this state allows; a damaged record."""
MOST_TOLD = 500
"""Characters in which anything is said, however large the file."""
PATIENCE = 2.0
"""Seconds of this thread's own time that the largest file may take: ten times what it takes."""


def animals(*, large_too: bool = False) -> list[Animal]:
    return [*small(), *(large() if large_too else [])]


class Menagerie:
    """A spool with the animals in one folder; a file that is no job is given no time to settle."""

    def __init__(self, root: Path, folder: str, animals: Collection[Animal]) -> None:
        known_as = NO_JOB if folder == "pending" else JOB
        self.animals = [one._replace(kind=known_as) if one.kind == TOO_LARGE else one for one in animals]
        self.root, self.folder = root, folder
        ok(root, "init")
        ok(root, "config", "set", "settle_time", "0")
        # Who has crashed waits for longer than the test takes.
        ok(root, "config", "set", "backoff_base", "1000000")
        (root / folder).mkdir(exist_ok=True)
        (root / "locks" / "host-1-1-old.lock").touch()
        for animal in animals:
            (root / folder / f"{animal.name}.json").write_bytes(animal.data)

    def files(self) -> dict[str, bytes]:
        """What lies in the state folders, but for the notes."""
        paths = (path for folder in FOLDERS for path in (self.root / folder.split("/")[0]).rglob("*.json"))
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in paths}

    def of(self, *kinds: str) -> list[Animal]:
        return [animal for animal in self.animals if animal.kind in kinds]

    def expect_all_kept(self) -> None:
        """Byte for byte what is no job, field for field what is one."""
        files = self.files()
        contents = set(files.values())
        lost = [animal.name for animal in self.of(NO_JOB, BLANK) if animal.data not in contents]
        assert lost == []
        for animal in self.of(JOB):
            (name,) = [name for name in files if name.endswith(f"/{animal.name}.json")]
            assert _given(files[name]) == _given(animal.data), name

    def expect_in(self, folder: str, *kinds: str) -> None:
        names = {path.stem for path in (self.root / folder).glob("*.json")}
        assert {animal.name for animal in self.of(*kinds)} - names == set()


def _given(data: bytes) -> dict[str, Any]:
    """What the user has set; the time of a retry goes over theirs."""
    fields = decode_job(data)
    return {name: getattr(fields, name) for name in USER_FIELDS if name not in ("$schema", "id", "run_at")}


class TestTheReader:
    def test_knows_what_each_is_and_is_quick_about_it(self, figure: Figure) -> None:
        for animal in animals(large_too=True):
            began, told = time.thread_time(), ""
            try:
                kind = JOB if decode_job(animal.data) else ""
            except InvalidInput as error:
                kind = BLANK if is_blank(animal.data) else NO_JOB
                told = str(error)
            assert time.thread_time() - began < PATIENCE, animal.name
            assert animal.kind in {kind, TOO_LARGE}, animal.name
            assert told.isprintable(), animal.name
            assert len(told) < MOST_TOLD
            figure("fuzz: job files", 1)

    def test_takes_a_file_that_is_cut_off_anywhere_for_no_job(self, figure: Figure) -> None:
        cut = truncations(RECORD) + truncations("\ufeffübung".join(['{"command": "', '"}']).encode())
        for data in cut:
            with pytest.raises(InvalidInput):
                decode_job(data)
        figure("fuzz: job files", len(cut))


@pytest.mark.parametrize("folder", FOLDERS)
class TestASpoolThatIsFullOfThem:
    """In `pending` each of them, elsewhere some."""

    def zoo(self, tmp_path: Path, folder: str) -> Menagerie:
        first, step = FOLDERS.index(folder), 1 if folder == "pending" else len(FOLDERS)
        return Menagerie(tmp_path / "spool", folder, animals()[first::step])

    def test_can_be_looked_at_and_nothing_changes(self, tmp_path: Path, folder: str, figure: Figure) -> None:
        zoo = self.zoo(tmp_path, folder)
        _look_at_all(zoo, step=40)
        figure("zoo: animals x folders", len(zoo.animals))

    def test_can_be_acted_on_and_no_byte_is_lost(self, tmp_path: Path, folder: str) -> None:
        _act_on_all(self.zoo(tmp_path, folder), step=15)

    def test_is_worked_off_and_each_ends_where_it_belongs(self, tmp_path: Path, folder: str) -> None:
        _work_off(self.zoo(tmp_path, folder))

    def test_keeps_what_purge_is_not_asked_for(self, tmp_path: Path, folder: str) -> None:
        zoo = self.zoo(tmp_path, folder)
        before = zoo.files()
        ok(zoo.root, "dlq", "purge", "--yes")
        assert zoo.files() == ({} if folder == "dead" else before)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS)
class TestEveryOneOfThem:
    """The same with each animal for each verb, the large ones too."""

    def test_can_be_looked_at_and_nothing_changes(self, tmp_path: Path, folder: str, figure: Figure) -> None:
        _look_at_all(Menagerie(tmp_path / "spool", folder, animals()), step=1)
        _look_at_all(Menagerie(tmp_path / "large", folder, large()), step=5, looks=LOOKS[:4])
        figure("zoo: animals x folders", len(animals(large_too=True)))

    def test_can_be_acted_on_and_no_byte_is_lost(self, tmp_path: Path, folder: str) -> None:
        _act_on_all(Menagerie(tmp_path / "spool", folder, animals(large_too=True)), step=1)

    def test_is_worked_off_and_each_ends_where_it_belongs(self, tmp_path: Path, folder: str) -> None:
        _work_off(Menagerie(tmp_path / "spool", folder, animals(large_too=True)))

    def test_cut_off_anywhere_is_set_aside_or_told(self, tmp_path: Path, folder: str, figure: Figure) -> None:
        cut = [Animal(f"cut-{number}", data, NO_JOB) for number, data in enumerate(truncations()) if data]
        _work_off(Menagerie(tmp_path / "spool", folder, cut))
        figure("zoo: animals x folders", len(cut))


def _look_at_all(zoo: Menagerie, step: int, looks: Sequence[tuple[str, ...]] = LOOKS) -> None:
    before = zoo.files()
    for verb in looks:
        call(zoo.root, *verb)
    for verb in LOOKS_AT_ONE:
        for animal in zoo.animals[::step]:
            answer = call(zoo.root, *verb, animal.name)
            assert answer.code in ({0, 4, 130} if animal.kind == JOB else {0, *REFUSED, 130}), answer
            assert animal.kind == JOB or verb[-1] in ("logs", "--follow") or answer.code != 0, verb
    assert zoo.files() == before
    _told_right(zoo)


def _told_right(zoo: Menagerie) -> None:
    """Jobs are counted and listed; what is none is a row that says so, or where drops come in a problem."""
    folder = zoo.folder.split("/")[0]
    waiting = folder in ("pending", "failed")
    rows = {animal.name for animal in zoo.of(*((JOB,) if waiting else (JOB, BLANK, NO_JOB)))}
    status = ok(zoo.root, "status", "--json").json
    state = "completed" if folder == "done" else folder
    assert status["counts"] == {
        "pending": 0, "processing": 0, "completed": 0, "failed": 0, "dead": 0, state: len(rows)
    }  # fmt: skip
    listed = {row["id"]: row for row in ok(zoo.root, "list", "--json").json}
    assert listed.keys() == rows
    if waiting:
        assert len(status["problems"]) == min(len(zoo.animals) - len(rows), PROBLEMS_SHOWN + 1)
    else:
        assert all(listed[animal.name]["error"] for animal in zoo.of(NO_JOB, BLANK))


def _act_on_all(zoo: Menagerie, step: int) -> None:
    for verb in ACTS_ON_ONE:
        for animal in zoo.animals[::step]:
            answer = call(zoo.root, *verb, animal.name)
            # A job of a dead worker is freed by who wants to cancel it, and what is none is dead then.
            freed = zoo.folder == DEAD_WORKER and verb == ("cancel",)
            assert animal.kind == JOB or freed or answer.code in REFUSED, (verb, animal.name, answer)
    zoo.expect_all_kept()
    drain(zoo.root)
    zoo.expect_all_kept()


def _work_off(zoo: Menagerie) -> None:
    told = drain(zoo.root)
    zoo.expect_all_kept()
    if zoo.folder == "pending":
        zoo.expect_in("done", JOB)
        zoo.expect_in("pending", BLANK)
    elif zoo.folder in ("done", "dead"):
        zoo.expect_in(zoo.folder, JOB, BLANK, NO_JOB)
    if zoo.folder in ("pending", "failed", DEAD_WORKER):
        zoo.expect_in("dead", NO_JOB)
        _each_has_a_note(zoo)
        assert told.err.count("is no job and lies in dead now") in (0, len(zoo.of(NO_JOB)))
    after = zoo.files()
    drain(zoo.root)
    assert zoo.files() == after, "what is done is done"
    assert ok(zoo.root, "doctor", "--fix") if zoo.folder == DEAD_WORKER else True
    before = [ok(zoo.root, *verb).json for verb in (("status", "--json"), ("list", "--json"))]
    ok(zoo.root, "reindex")
    assert [ok(zoo.root, *verb).json for verb in (("status", "--json"), ("list", "--json"))] == before


def _each_has_a_note(zoo: Menagerie) -> None:
    for animal in zoo.of(NO_JOB):
        note = (zoo.root / "dead" / f"{animal.name}.error.txt").read_text(encoding="utf-8")
        assert note.splitlines()[0].isprintable(), animal.name
        assert f"queuectl dlq retry {animal.name}" in note


def test_a_reader_that_trusts_a_file_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: what is no job is thrown away by a careless intake."""
    from queuectl.queue import intake

    def careless(store: Any, place: Any, *details: Any) -> Any:
        Path(store.spool.path(place)).write_bytes(job())
        return real(store, place, *details)

    real = intake._set_aside
    monkeypatch.setattr(intake, "_set_aside", careless)
    with pytest.raises(AssertionError):
        _work_off(Menagerie(tmp_path / "spool", "pending", animals()[:40]))
