"""Jobs that a filter finds, and what is done to many of them."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl import Filter, State
from queuectl.errors import InvalidInput
from queuectl.queue import many
from queuectl.queue.store import Store
from tests.support.spools import START, Desk, failing


def put(desk: Desk, folder: str, job_id: str, **fields: Any) -> None:
    state = "completed" if folder == "done" else folder
    desk.put_job(folder, job_id, **{"state": state, **fields})


class TestAFilter:
    @pytest.fixture(autouse=True)
    def jobs(self, desk: Desk) -> None:
        put(desk, "pending", "a", command="Rsync /data", group="g", tags=["night"], batch="b")
        put(desk, "dead", "b", command=["rsync", "/data", "100%"], error="Exit code 7: ÜBERLAUF", group="g")
        put(desk, "done", "c", command='say "x" a_b', tags=["night", "day"], batch="b")
        put(desk, "failed", "d", error="exit code 9", run_at="2027-01-15T09:00:00.000Z", hold=True)

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
            (Filter(command_like='"X"'), "c"),
            (Filter(command_like="', '"), ""),
            (Filter(error_like="exit"), "bd"),
            (Filter(error_like="überlauf"), "b"),
            (Filter(held=True), "d"),
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
        assert (acted.skipped, acted.reasons) == ([], [])
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
        assert desk.queue.act(desk.queue.choose("release", Filter())).done == ["a"]
        acted = desk.queue.act(desk.queue.choose("release anyway", Filter()))
        assert (acted.done, sorted(acted.skipped)) == (["c"], ["a", "b"])

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
        (reason,) = acted.reasons
        assert "b.json" in reason
        assert desk.files() == {"dead": ["b.json"], "pending": ["a.json", "c.json"]}

    def test_goes_by_pieces_and_lets_go_of_the_lock_between(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(many, "PIECE", 2)
        desk.add(*"abcde")
        chosen = desk.queue.choose("hold", Filter())
        told: list[int] = []

        def between(count: int) -> None:
            told.append(count)
            with Store.open(str(desk.root)) as other, other.claiming():
                if count == 2:
                    desk.path("pending", "e.json").unlink()

        acted = desk.queue.act(chosen, between)
        assert told == [2, 4, 5]
        assert (acted.done, acted.skipped) == (list("abcd"), ["e"])

    def test_what_runs_is_cancelled_last(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        """Else a worker that is freed takes what is to be cancelled next."""
        seen: list[str] = []
        monkeypatch.setattr(many, "_act_on_piece", lambda store, chosen, ids, *_: seen.extend(ids))
        chosen = many.Chosen("cancel", {"r": State.PROCESSING, "p": State.PENDING}, ())
        desk.queue.act(chosen)
        assert seen == ["p", "r"]
