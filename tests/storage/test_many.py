"""Jobs that a filter finds, and what is done to many of them."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from queuectl import Filter, State
from queuectl.errors import Busy, Conflict, DamagedRecord, InvalidInput, SpoolUnusable
from queuectl.locks import try_lock
from queuectl.moment import format_moment
from queuectl.queue import looks, many
from queuectl.queue.store import CLAIM_LOCK, Store
from queuectl.spool import Place, Spool
from tests.support.spools import START, Clock, Desk, failing, read_record


def put(desk: Desk, folder: str, job_id: str, **fields: Any) -> None:
    state = "completed" if folder == "done" else folder
    desk.put_job(folder, job_id, **{"state": state, **fields})


class TestAFilter:
    @pytest.fixture(autouse=True)
    def jobs(self, desk: Desk) -> None:
        put(desk, "pending", "a", command="Rsync /data", group="g", tags=["night"], batch="b")
        put(desk, "dead", "b", command=["rsync", "/data", "100%"], error="Exit code 7: ÜBERLAUF", group="g")
        put(desk, "done", "c", command='say \n "x" a_b', tags=["night", "day"], batch="b")
        put(desk, "failed", "d", error="exit\t code\n9", run_at="2027-01-15T09:00:00.000Z", hold=True)

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            (Filter(), "abcd"),
            (Filter(states=(State.DEAD, State.FAILED)), "bd"),
            (Filter(group="g"), "ab"),
            (Filter(group="G"), ""),
            (Filter(tag="night"), "ac"),
            (Filter(tag="nigh"), ""),
            (Filter(batch="b"), "ac"),
            (Filter(command_like="rsync /DATA"), "ab"),
            (Filter(command_like="%"), "b"),
            (Filter(command_like="_"), "c"),
            (Filter(command_like='SAY  "X"'), "c"),
            (Filter(error_like="code 9"), "d"),
            (Filter(command_like="', '"), ""),
            (Filter(error_like="exit"), "bd"),
            (Filter(error_like="überlauf"), "b"),
            (Filter(error_like="u\u0308berlauf"), "b"),
            (Filter(command_like="say  \t"), "c"),
            (Filter(command_like="data "), "b"),
            (Filter(held=True), "d"),
            (Filter(held=False), "abc"),
            (Filter(kept=True), "d"),
            (Filter(kept=False), "abc"),
            (Filter(group="g", tag="night", states=(State.PENDING,)), "a"),
            (Filter(group="g", batch="nope"), ""),
        ],
        ids=str,
    )
    def test_finds(self, desk: Desk, where: Filter, found: str) -> None:
        assert sorted(desk.queue.select(where)) == list(found)
        rows = [job["id"] for job in desk.queue.jobs(where=where)]
        assert sorted(rows) == list(found)
        assert [job["id"] for job in desk.queue.jobs(where=where, limit=1)] == rows[:1]

    def test_state_and_tag_take_the_place_of_its_own(self, desk: Desk) -> None:
        where = Filter(states=(State.DEAD,), tag="nope")
        assert [job["id"] for job in desk.queue.jobs(state="done", tag="day", where=where)] == ["c"]


def test_the_age_is_that_of_the_last_change(desk: Desk) -> None:
    desk.add("old")
    desk.add("changed")
    desk.clock.advance(3600)
    desk.queue.hold(["changed"])
    desk.add("new")
    before = Filter(changed_before=START + 60)
    assert desk.queue.select(before) == ["old"]
    assert desk.queue.select(Filter(changed_since=START + 60)) == ["changed", "new"]
    assert desk.queue.select(before._replace(changed_since=START + 60)) == []


def test_of_a_file_that_does_not_say_when_it_changed_its_own_time_counts(desk: Desk) -> None:
    path = desk.drop("a.json", {"command": "x"}, "done")
    written = path.stat().st_mtime
    assert desk.queue.select(Filter(changed_before=written + 60)) == ["a"]
    assert desk.queue.select(Filter(changed_before=written - 60)) == []


class TestTimesOfOtherTools:
    """A person, or a program of theirs, has written `updated_at`."""

    EARLY = (
        "2027-01-15T01:00:00+00:00",
        "2027-01-15 01:00:00Z",
        "2027-01-15T06:30:00+05:30",
        "2027-01-15T01:00:00",
    )
    LATE = ("2027-01-15T00:30:00-07:30", "2027-01-15t07:59:59.999999999z")

    def test_are_compared_as_times(self, desk: Desk) -> None:
        for number, at in enumerate(self.EARLY):
            put(desk, "dead", f"early{number}", updated_at=at)
        for number, at in enumerate(self.LATE):
            put(desk, "dead", f"late{number}", updated_at=at)
        middle = START - 6 * 3600
        early, late = ([f"{name}{n}" for n in range(count)] for name, count in (("early", 4), ("late", 2)))
        assert sorted(desk.queue.select(Filter(changed_before=middle))) == early
        assert sorted(desk.queue.select(Filter(changed_since=middle))) == late
        assert desk.row("early2")["updated_at"] == "2027-01-15T01:00:00.000Z"
        assert desk.queue.show("early2")["updated_at"] == self.EARLY[2], "as its record tells it"
        assert len(desk.queue.jobs()) == 6

    @pytest.mark.parametrize("at", ["", "last week", "2027-13-45T00:00:00.000Z", None])
    def test_that_are_none_leave_that_of_the_file(self, desk: Desk, at: Any) -> None:
        put(desk, "dead", "a", updated_at=at)
        written = desk.path("dead", "a.json").stat().st_mtime
        assert desk.queue.select(Filter(changed_before=written - 60)) == []
        assert desk.queue.select(Filter(changed_before=written + 60)) == ["a"]
        assert desk.row("a")["updated_at"] == format_moment(written)

    def test_of_ours_are_told_as_they_are(self, desk: Desk) -> None:
        desk.add("a")
        assert desk.row("a")["updated_at"] == desk.record("pending", "a")["updated_at"]


class TestActing:
    @pytest.mark.parametrize(
        ("verb", "folders", "after"),
        [
            ("retry", {"dead": "a", "failed": "b", "done": "c"}, {"pending": "ab", "done": "c"}),
            ("cancel", {"pending": "a", "failed": "b", "done": "c"}, {"dead": "ab", "done": "c"}),
            ("purge", {"dead": "a", "done": "c"}, {"done": "c"}),
            ("hold", {"pending": "a", "failed": "b", "dead": "c"}, None),
        ],
    )
    def test_does_it_to_those_it_is_for(
        self, desk: Desk, verb: str, folders: dict[str, str], after: Any
    ) -> None:
        for folder, job_id in folders.items():
            put(desk, folder, job_id)
        chosen = desk.queue.choose(verb, Filter())
        acted = desk.queue.act(chosen)
        assert sorted(acted.done) == sorted(chosen.jobs) == [one for one in "ab" if one in folders.values()]
        assert (acted.skipped, acted.reasons) == ([], {})
        if after:
            there = {folder: "".join(name[0] for name in names) for folder, names in desk.files().items()}
            assert there == after
        else:
            assert [desk.row(one)["held_by"] for one in "abc"] == ["hold", "hold", None]

    def test_what_has_completed_is_run_again_only_when_that_is_said(self, desk: Desk) -> None:
        put(desk, "done", "a")
        assert desk.queue.choose("retry", Filter()).jobs == {}
        chosen = desk.queue.choose("retry", Filter(states=(State.COMPLETED,)))
        assert desk.queue.act(chosen).done == ["a"]

    def test_release_finds_what_is_held(self, desk: Desk) -> None:
        desk.add("a", "b")
        desk.queue.hold(["a"])
        desk.add("c", after=["b"])
        chosen = desk.queue.choose("release", Filter())
        assert list(chosen.jobs) == desk.queue.act(chosen).done == ["a"]
        assert list(desk.queue.choose("release anyway", Filter()).jobs) == ["c"], (
            "and none that waits for nothing"
        )
        desk.queue.hold(["b"])
        acted = desk.queue.act(desk.queue.choose("release anyway", Filter()))
        assert (sorted(acted.done), acted.skipped) == (["b", "c"], [])
        assert [desk.row(one)["held_by"] for one in "abc"] == [None, None, None]

    @pytest.mark.parametrize(
        ("verb", "where"),
        [
            ("purge", Filter(states=(State.COMPLETED,))),
            ("hold", Filter(states=(State.PENDING, State.DEAD))),
            ("explode", Filter()),
        ],
    )
    def test_what_cannot_be_is_refused(self, desk: Desk, verb: str, where: Filter) -> None:
        with pytest.raises(InvalidInput):
            desk.queue.choose(verb, where)

    def test_what_has_moved_on_is_skipped(self, desk: Desk) -> None:
        """One that was dead when somebody asked is not run again because it has completed since."""
        for job_id in ("gone", "stays", "again", "done"):
            put(desk, "dead", job_id)
        chosen = desk.queue.choose("retry", Filter())
        desk.path("dead", "gone.json").unlink()
        desk.queue.retry(["again"])
        desk.drag("done", "dead", "done")
        acted = desk.queue.act(chosen)
        assert (acted.done, sorted(acted.skipped)) == (["stays"], ["again", "done", "gone"])
        assert desk.folder_of("done") == ["done"]

    def test_a_filter_by_state_holds_for_what_is_cancelled(self, desk: Desk) -> None:
        desk.add("a", "b")
        only = desk.queue.choose("cancel", Filter(states=(State.PENDING,)))
        either = desk.queue.choose("cancel", Filter())
        desk.run_once(failing(desk.clock))
        acted = desk.queue.act(only)
        assert (acted.done, acted.skipped) == (["b"], ["a"])
        assert desk.queue.act(either).done == ["a"]

    def test_one_that_is_no_job_does_not_keep_the_others(self, desk: Desk) -> None:
        for job_id in "abc":
            put(desk, "dead", job_id)
        desk.drop("b.json", b"{", "dead")
        acted = desk.queue.act(desk.queue.choose("retry", Filter()))
        assert (acted.done, acted.skipped) == (["a", "c"], ["b"])
        (reason,) = acted.reasons.values()
        assert isinstance(reason, DamagedRecord)
        assert "b.json" in str(reason)
        assert desk.files() == {"dead": ["b.json"], "pending": ["a.json", "c.json"]}

    def test_goes_by_pieces_and_lets_go_of_the_lock_between(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(many, "PIECE", 2)
        desk.add(*"abcde")
        chosen = desk.queue.choose("hold", Filter())
        path = desk.store.spool.lock_path(CLAIM_LOCK)
        told: list[int] = []
        free: list[bool] = []

        def is_free() -> bool:
            # Not by `claiming`: the thread that holds it may enter again.
            if (held := try_lock(path)) is not None:
                held.release()
            return held is not None

        def hold(store: Store, place: Place, now: float) -> None:
            free.append(is_free())
            verb.act(store, place, now)

        def between(count: int) -> None:
            told.append(count)
            assert is_free()
            if count == 2:
                desk.path("pending", "e.json").unlink()

        verb = many.VERBS["hold"]
        monkeypatch.setitem(many.VERBS, "hold", verb._replace(act=hold))
        acted = desk.queue.act(chosen, between)
        assert told == [2, 4, 5]
        assert (acted.done, acted.skipped) == (list("abcd"), ["e"])
        assert free == [False] * 4


def edit(path: Path, **fields: Any) -> None:
    """As a person does, in its place."""
    path.write_text(json.dumps({**read_record(path), **fields}), encoding="utf-8")


class TestWhatIsMeant:
    """Is settled when it asks, and asked of the files once more before each is acted on."""

    @pytest.fixture
    def few(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Three jobs are many: a folder that has not changed is not looked into for what was edited there."""
        for module in (looks, many):
            monkeypatch.setattr(module, "FEW", 2)

    @pytest.mark.usefixtures("few")
    @pytest.mark.parametrize(
        ("verb", "folder"), [("purge", "dead"), ("cancel", "pending"), ("retry", "dead")]
    )
    def test_what_was_edited_where_nobody_looks_is_not_it(self, desk: Desk, verb: str, folder: str) -> None:
        for job_id in "abcd":
            put(desk, folder, job_id, group="old")
        desk.queue.refresh()
        edit(desk.path(folder, "b.json"), group="keepme")
        assert list(desk.queue.choose(verb, Filter(group="old")).jobs) == list("acd")

    @pytest.mark.usefixtures("few")
    def test_what_was_mended_where_nobody_looks_is_retried(self, desk: Desk) -> None:
        for job_id in "abc":
            put(desk, "dead", job_id)
        desk.drop("d.json", b"{", "dead")
        desk.queue.refresh()
        desk.drop("d.json", {"command": "x"}, "dead")
        assert sorted(desk.queue.retry_all_dead()[0]) == list("abcd")

    @pytest.mark.parametrize(
        ("verb", "folder"),
        [("purge", "dead"), ("retry", "failed"), ("cancel", "failed"), ("hold", "pending")],
    )
    def test_what_is_edited_meanwhile_is_left_alone(self, desk: Desk, verb: str, folder: str) -> None:
        for job_id in "ab":
            put(desk, folder, job_id, group="old")
        chosen = desk.queue.choose(verb, Filter(group="old"))
        edit(desk.path(folder, "a.json"), group="keepme")
        before = desk.path(folder, "a.json").read_bytes()
        acted = desk.queue.act(chosen)
        assert (acted.done, acted.skipped, acted.reasons) == (["b"], ["a"], {})
        assert desk.path(folder, "a.json").read_bytes() == before

    @pytest.mark.parametrize("verb", ["purge", "retry"])
    def test_another_death_is_not_the_one_that_was_seen(self, desk: Desk, verb: str) -> None:
        put(desk, "dead", "a", error="disk full")
        chosen = desk.queue.choose(verb, Filter())
        desk.clock.advance(60)
        desk.queue.retry(["a"])
        desk.queue.edit("a", {"max_retries": 0})
        desk.run_once(failing(desk.clock, 9))
        assert desk.folder_of("a") == ["dead"]
        acted = desk.queue.act(chosen)
        assert (acted.done, acted.skipped) == ([], ["a"])
        assert desk.record("dead", "a")["error"] == "exit code 9"

    @pytest.mark.parametrize("verb", ["cancel", "hold"])
    def test_another_job_of_the_name_is_not_it(self, desk: Desk, verb: str) -> None:
        desk.add("r")
        chosen = desk.queue.choose(verb, Filter())
        desk.path("pending", "r.json").unlink()
        desk.clock.advance(1)
        desk.add("r")
        acted = desk.queue.act(chosen)
        assert (acted.done, acted.skipped) == ([], ["r"])
        assert desk.row("r")["held_by"] is None

    def test_a_drop_is_the_same_job_when_it_says_since_when(self, desk: Desk) -> None:
        """Its record tells less of that than the time of its file."""
        desk.drop("a.json")
        chosen = desk.queue.choose("cancel", Filter())
        desk.queue.hold(["a"])
        assert desk.queue.act(chosen).done == ["a"]

    def test_who_waits_for_what_is_to_be_deleted_is_counted(self, desk: Desk) -> None:
        put(desk, "dead", "a")
        put(desk, "dead", "b", batch="n")
        put(desk, "dead", "c")
        put(desk, "done", "had-waited", after=["a"])
        desk.add("x", "y", after=["a"])
        desk.add("z", after=[{"batch": "n"}])
        desk.add("free")
        assert desk.queue.choose("purge", Filter()).waiting == 3
        assert desk.queue.choose("purge", Filter(batch="n")).waiting == 1
        assert desk.queue.choose("cancel", Filter()).waiting == 0
        assert (desk.queue.waiting_for(["a"]), desk.queue.waiting_for(["c"])) == (2, 0)


class TestOneThatIsInTheWay:
    def purging(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, error: Exception, acted: many.Acted
    ) -> None:
        """Purge a, b and c, of which b meets this error."""
        for job_id in "abc":
            put(desk, "dead", job_id)

        def purge_one(store: Store, place: Place) -> bool:
            if place.job_id == "b":
                raise error
            return purge(store, place)

        purge = many.purge_one
        monkeypatch.setattr(many, "purge_one", purge_one)
        desk.queue.act(desk.queue.choose("purge", Filter()), acted=acted)

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EBUSY])
    def test_does_not_keep_the_others(self, desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
        acted = many.Acted([], [], {})
        self.purging(desk, monkeypatch, OSError(number, "refused", "dead/b.json"), acted)
        assert (acted.done, acted.skipped) == (["a", "c"], ["b"])
        assert {one: (why.exit_code, str(why)) for one, why in acted.reasons.items()} == {
            "b": (7, "refused: dead/b.json")
        }

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO, errno.EMFILE])
    def test_ends_it_where_no_other_would_fare_better(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        acted = many.Acted([], [], {})
        synced: list[State] = []
        monkeypatch.setattr(Spool, "sync", lambda spool, *states: synced.extend(states))
        with pytest.raises(SpoolUnusable, match="refused"):
            self.purging(desk, monkeypatch, OSError(number, "refused"), acted)
        assert (acted.done, acted.skipped, acted.reasons) == (["a"], [], {}), "it is known what was done"
        assert desk.files() == {"dead": ["b.json", "c.json"]}
        assert synced == [State.DEAD], "and that it stays so"

    def test_a_folder_in_a_files_place_is_one(self, desk: Desk) -> None:
        for job_id in "abc":
            put(desk, "dead", job_id)
        chosen = desk.queue.choose("purge", Filter())
        desk.path("dead", "b.json").unlink()
        desk.path("dead", "b.json").mkdir()
        acted = desk.queue.act(chosen)
        assert (acted.done, acted.skipped, list(acted.reasons)) == (["a", "c"], ["b"], ["b"])

    def test_what_was_done_is_told_as_done(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        desk.add(*"abcd")
        desk.queue.hold(list("abcd"))
        chosen = desk.queue.choose("release", Filter())
        put_over = Spool.put_over

        def meddle(spool: Spool, prepared: str, place: Place, **options: Any) -> None:
            if place.job_id == "c":
                edit(desk.path("pending", "c.json"), tags=["edited"])
            put_over(spool, prepared, place, **options)

        monkeypatch.setattr(Spool, "put_over", meddle)
        acted = desk.queue.act(chosen)
        assert (acted.done, acted.skipped) == (["a", "b", "d"], ["c"])
        assert [one for one in "abcd" if desk.row(one)["held_by"]] == ["c"]

    def test_an_index_that_fails_does_not_begin_it_anew(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(many, "PIECE", 2)
        desk.add(*"abcd")
        chosen = desk.queue.choose("hold", Filter())
        told: list[int] = []
        failed: list[str] = []
        version = Spool.version

        def fail_once(spool: Spool, place: Place) -> tuple[int, int]:
            if place.job_id == "d" and not failed:
                failed.append("d")
                raise sqlite3.OperationalError("disk I/O error")
            return version(spool, place)

        monkeypatch.setattr(Spool, "version", fail_once)
        acted = desk.queue.act(chosen, told.append)
        assert failed == ["d"]
        assert (acted.done, acted.skipped, told) == (list("abcd"), [], [2, 4])

    def test_of_those_that_are_named_it_is_told_which_were_done(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for job_id in "pqr":
            put(desk, "dead", job_id)
        desk.add("a", "b")
        put_over = Spool.put_over

        def meddle(spool: Spool, prepared: str, place: Place, **options: Any) -> None:
            if place.job_id in "bq":
                edit(Path(spool.path(place)), tags=["edited"])
            put_over(spool, prepared, place, **options)

        monkeypatch.setattr(Spool, "put_over", meddle)
        with pytest.raises(Conflict, match=r"'q' has just been .*done before: p"):
            desk.queue.retry(list("pqr"))
        with pytest.raises(Conflict, match=r"'b' has just been .*done before: a"):
            desk.queue.hold(["a", "b"])


class TestWhatRuns:
    @pytest.fixture
    def running(self, desk: Desk) -> many.Chosen:
        for number in range(3):
            put(desk, f"processing/host-{number}-1-abc", f"r{number}", state="pending")
        desk.add("p")
        return desk.queue.choose("cancel", Filter())

    @pytest.mark.parametrize(
        ("piece", "order"),
        [
            (many.PIECE, ["p", "ask r0", "ask r1", "ask r2", "end r0", "end r1", "end r2"]),
            (2, ["p", "ask r0", "end r0", "ask r1", "ask r2", "end r1", "end r2"]),
        ],
    )
    def test_is_cancelled_last_and_all_are_asked_first(
        self,
        desk: Desk,
        monkeypatch: pytest.MonkeyPatch,
        running: many.Chosen,
        piece: int,
        order: list[str],
    ) -> None:
        """Else a worker that is freed takes what is to be cancelled next; and each is waited for in turn."""
        seen: list[str] = []
        monkeypatch.setattr(many, "PIECE", piece)
        monkeypatch.setattr(many, "ask", lambda spool, worker, suffix, one: seen.append(f"ask {one}"))
        monkeypatch.setattr(many, "cancel", lambda store, places, **_: seen.append(f"end {places[0].job_id}"))
        waiting = many.VERBS["cancel"]._replace(act=lambda store, place, now: seen.append(place.job_id))
        monkeypatch.setitem(many.VERBS, "cancel", waiting)
        assert desk.queue.act(running).done == ["p", "r0", "r1", "r2"]
        assert seen == order

    def test_is_waited_for_so_long_together(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, running: many.Chosen
    ) -> None:
        clock, given = Clock(0.0), []

        def cancel(store: Store, places: Sequence[Place], *, now: float, deadline: float) -> None:
            given.append(deadline)
            clock.advance(10)

        monkeypatch.setattr(many, "cancel", cancel)
        monkeypatch.setattr("queuectl.system.monotonic", clock)
        desk.queue.act(running)
        assert given == [many.DEADLINE, many.DEADLINE - 10, 0]

    def test_one_that_does_not_end_does_not_keep_the_others(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch, running: many.Chosen
    ) -> None:
        def cancel(store: Store, places: Sequence[Place], *, now: float, deadline: float) -> None:
            if places[0].job_id == "r1":
                raise Busy("job 'r1' still runs")

        monkeypatch.setattr(many, "cancel", cancel)
        acted = desk.queue.act(running)
        assert (sorted(acted.done), acted.skipped) == (["p", "r0", "r2"], ["r1"])
        assert acted.reasons["r1"].exit_code == 5


class TestWhatMakesNoSense:
    @pytest.mark.parametrize(
        "where",
        [
            Filter(states=("lost",)),
            Filter(states=(None,)),
            Filter(states=5),
            Filter(error_like=""),
            Filter(command_like=" \n"),
            Filter(changed_before=float("nan")),
            Filter(changed_since="yesterday"),
        ],
        ids=str,
    )
    def test_is_refused_and_means_not_all_jobs(self, desk: Desk, where: Filter) -> None:
        for ask in (desk.queue.select, lambda one: desk.queue.jobs(where=one)):
            with pytest.raises(InvalidInput):
                ask(where)
        with pytest.raises(InvalidInput):
            desk.queue.choose("purge", where)

    @pytest.mark.parametrize("states", [("dead",), "dead", State.DEAD, ["DEAD"]])
    def test_states_may_be_words(self, desk: Desk, states: Any) -> None:
        put(desk, "dead", "a")
        put(desk, "done", "b")
        assert desk.queue.select(Filter(states=states)) == ["a"]
        assert list(desk.queue.choose("purge", Filter(states=states)).jobs) == ["a"]
