"""Order and limits by the command line: what jobs wait for, unique keys, hold, release, edit, groups."""

from __future__ import annotations

import json
import re
from typing import Any

import click
import pytest

from tests.support.commandline import CommandLine, LivingWorker

ROW = {
    "name": str,
    "limit": (int, type(None)),
    "rate": (str, type(None)),
    "paused": (bool, type(None)),
    "description": (str, type(None)),
    "opens_at": (str, type(None)),
    "problem": (str, type(None)),
    "waiting": int,
    "running": int,
}


class TestEnqueue:
    def test_what_a_job_waits_for(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--batch", "b 1", "--", "x")
        cli.ok(
            *("enqueue", "--id", "c", "--after", "a", "--after-failure", "a", "--after-any", "batch:b 1"),
            *("--hold", "--group", "g", "--", "x"),
        )
        record = cli.record("pending", "c")
        assert record["after"] == ["a", {"id": "a", "on": "failure"}, {"batch": "b 1", "on": "any"}]
        assert (record["hold"], record["group"]) == (True, "g")
        (row,) = [row for row in cli.json("list") if row["id"] == "c"]
        assert (row["after"], row["held_by"], row["group"]) == (["a", "a", "batch:b 1"], "hold", "g")
        text = cli.ok("list").out
        assert re.search(r"^c .* held ", text, re.M)

    def test_options_go_over_a_file_and_what_it_waits_for_is_added(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        cli.ok("enqueue", "--id", "b", "--", "x")
        cli.ok("enqueue", "--after", "b", '{"id": "c", "command": "x", "after": ["a"], "hold": true}')
        record = cli.record("pending", "c")
        assert (record["after"], record["hold"]) == (["a", "b"], True)
        assert re.search(r"^c .* held", cli.ok("list").out, re.M)
        cli.ok("release", "c")
        assert re.search(r"^c .* after a and 1 more", cli.ok("list").out, re.M)

    def test_unique_keys(self, cli: CommandLine) -> None:
        key = ("--unique-key", "k")
        assert cli.ok("enqueue", "--id", "a", *key, "--", "x").out == "a\n"
        assert "has the unique key 'k'" in cli.fails(4, "enqueue", "--id", "b", *key, "--", "x")
        assert cli.ok("enqueue", "--id", "b", *key, "--if-exists", "return", "--", "x").out == "a\n"
        assert cli.ok("enqueue", "--id", "b", *key, "--if-exists", "replace", "--", "x").out == "b\n"
        over = cli.ok("enqueue", "--id", "c", *key, "--unique-over", "completed", "--", "x")
        assert over.out == "c\n"
        assert cli.ok(
            *("enqueue", "--id", "d", *key, "--unique-for", "1h", "--if-exists", "return", "--", "x")
        ).out in ("a\n", "b\n", "c\n")
        assert "no state 'lost'" in cli.fails(2, "enqueue", *key, "--unique-over", "lost", "--", "x")

    @pytest.mark.parametrize(
        ("options", "code", "told"),
        [
            (("--after", "nope"), 3, "no job 'nope'"),
            (("--after", "batch:nope"), 2, "no job belongs to the batch 'nope'"),
            (("--after", "a/b"), 2, "after: an id cannot contain '/'"),
            (("--group", "a/b"), 2, "group: a group's name cannot contain '/'"),
            (("--if-exists", "perhaps"), 2, "--if-exists"),
            (("--unique-for", "often"), 2, "--unique-for"),
            (("--if-exists", "return"), 2, "are about a --unique-key"),
        ],
    )
    def test_what_is_wrong_is_told(
        self, cli: CommandLine, options: tuple[str, ...], code: int, told: str
    ) -> None:
        cli.ok("init")
        assert told in cli.fails(code, "enqueue", *options, "--", "x")
        assert cli.json("list") == []


@pytest.fixture
def somebody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person sits at the terminal."""
    monkeypatch.setattr("queuectl.system.is_interactive", lambda stream: True)


class TestHoldReleaseEdit:
    def test_they_do_what_they_say(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--priority", "1", "--tag", "t", "--", "x")
        cli.ok("hold", "a")
        assert cli.record("pending", "a")["hold"] is True
        cli.ok("release", "a")
        cli.ok("edit", "a", "--priority", "5", "--timeout", "1h", "--group", "g", "--", "y", "z")
        record = cli.record("pending", "a")
        assert (record["priority"], record["timeout"], record["group"]) == (5, 3600, "g")
        assert (record["command"], record["tags"]) == (["y", "z"], ["t"])
        cli.ok("edit", "a", "--tag", "u", "--delay", "1h")
        assert cli.record("pending", "a")["tags"] == ["u"]

    def test_what_is_not_possible_is_told(self, cli: CommandLine, worker: LivingWorker) -> None:
        assert "no job 'a'" in cli.fails(3, "hold", "a")
        cli.ok("enqueue", "--id", "a", "--", "x")
        assert "is not held" in cli.fails(4, "release", "a")
        worker.claim()
        assert "only one that waits can be changed" in cli.fails(4, "edit", "a", "--priority", "1")

    @pytest.mark.usefixtures("somebody")
    def test_edit_opens_an_editor_with_what_the_user_may_set(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[Any] = []

        def edit(text: str, extension: str) -> str:
            seen.append((json.loads(text), extension))
            return json.dumps({**json.loads(text), "priority": 3, "tags": ["u"]}).replace('"x"', '"y"')

        cli.ok("enqueue", "--id", "a", "--priority", "2", "--env", "K=V", "--", "x")
        monkeypatch.setattr(click, "edit", edit)
        cli.ok("edit", "a")
        shown = {"id": "a", "command": ["x"], "env": {"K": "V"}, "priority": 2}
        assert [({key: seen[0][0].get(key) for key in shown}, seen[0][1])] == [(shown, ".json")]
        assert "attempts" not in seen[0][0]
        record = cli.record("pending", "a")
        assert (record["command"], record["priority"], record["tags"]) == (["y"], 3, ["u"])

    @pytest.mark.usefixtures("somebody")
    def test_what_a_job_waits_for_is_shown_and_kept_whole(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--batch", "b", "--", "x")
        cli.ok(*("enqueue", "--id", "c", "--after-failure", "a", "--after", "batch:b", "--", "x"))
        after = cli.record("pending", "c")["after"]
        assert cli.json("show", "c")["after"] == after

        def edit(text: str, extension: str) -> str:
            assert json.loads(text)["after"] == after
            assert "max_retries" not in json.loads(text)
            return text.replace('"x"', '"y"')

        monkeypatch.setattr(click, "edit", edit)
        cli.ok("edit", "c")
        assert (cli.record("pending", "c")["after"], cli.record("pending", "c")["command"]) == (after, ["y"])

    @pytest.mark.usefixtures("somebody")
    def test_what_somebody_saved_while_the_editor_was_open_is_not_written_over(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")

        def edit(text: str, extension: str) -> str:
            cli.drop("a.json", {"id": "a", "command": "mine"})
            return text.replace('"x"', '"y"')

        monkeypatch.setattr(click, "edit", edit)
        assert "just been moved or changed" in cli.fails(4, "edit", "a")
        assert cli.record("pending", "a")["command"] == "mine"

    @pytest.mark.usefixtures("somebody")
    def test_what_is_deleted_in_the_editor_is_taken_away(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--priority", "2", "--env", "K=V", "--", "x")
        monkeypatch.setattr(click, "edit", lambda text, extension: '{"command": ["x"]}')
        cli.ok("edit", "a")
        record = cli.record("pending", "a")
        assert ("env" in record, record.get("priority", 0)) == (False, 0)

    @pytest.mark.parametrize(
        ("saved", "code", "told"),
        [
            (None, 130, "nothing was saved"),
            ("{", 2, "not JSON"),
            ('{"command": "x", "id": "b"}', 2, "a job's id cannot be changed"),
        ],
    )
    @pytest.mark.usefixtures("somebody")
    def test_an_editor_that_saves_no_job_changes_nothing(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch, saved: Any, code: int, told: str
    ) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        before = cli.files()
        monkeypatch.setattr(click, "edit", lambda text, extension: saved)
        assert told in cli.fails(code, "edit", "a")
        assert cli.files() == before

    def test_where_nobody_is_there_to_edit_options_are_wanted(self, cli: CommandLine) -> None:
        cli.ok("enqueue", "--id", "a", "--", "x")
        assert "nobody is here to edit it" in cli.fails(2, "edit", "a")


class TestGroup:
    def test_set_list_pause_resume_remove(self, cli: CommandLine) -> None:
        row = cli.json("group", "set", "video", "--limit", "1", "--rate", "10/min", "--description", "Film")
        assert set(row) == set(ROW)
        assert all(isinstance(row[name], kind) for name, kind in ROW.items())
        path = cli.spool / "groups" / "video.json"
        assert json.loads(path.read_bytes()) == {"limit": 1, "rate": "10/min", "description": "Film"}
        cli.ok("enqueue", "--group", "video", "--", "x")
        cli.ok("enqueue", "--group", "other", "--", "x")
        assert [(one["name"], one["waiting"]) for one in cli.json("group", "list")] == [
            ("other", 1),
            ("video", 1),
        ]
        assert re.search(r"video +1 +0 +1 at once, 10/min", cli.ok("group", "list").out)
        cli.ok("group", "set", "video", "--rate", "none")
        assert json.loads(path.read_bytes()) == {"limit": 1, "description": "Film"}
        cli.ok("group", "pause", "video", "new")
        assert "paused" in cli.ok("group", "list").out
        cli.ok("group", "resume", "video")
        cli.ok("group", "remove", "video", "new")
        assert not path.exists()
        assert len(cli.json("list")) == 2

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ((), "give one of --limit"),
            (("--limit", "0"), "--limit"),
            (("--limit", "many"), "--limit"),
            (("--rate", "often"), "rate: 'often' is not a rate such as 10/min"),
        ],
    )
    def test_what_is_wrong_is_told(self, cli: CommandLine, options: tuple[str, ...], told: str) -> None:
        cli.ok("init")
        assert told in cli.fails(2, "group", "set", "g", *options)
        assert list((cli.spool / "groups").iterdir()) == []

    def test_bad_names_and_unknown_groups(self, cli: CommandLine) -> None:
        cli.ok("init")
        assert "a group's name cannot" in cli.fails(2, "group", "set", "../x", "--limit", "1")
        for verb in ("resume", "remove"):
            assert "no limits are set for group 'nope'" in cli.fails(3, "group", verb, "nope")

    def test_a_damaged_file_is_told_and_not_written_over(self, cli: CommandLine) -> None:
        cli.ok("init")
        cli.drop("g.json", b"{", "groups")
        assert "not JSON" in cli.fails(2, "group", "set", "g", "--limit", "1")
        assert (cli.spool / "groups" / "g.json").read_bytes() == b"{"
        (row,) = cli.json("group", "list")
        assert row["problem"].startswith("not JSON")
        assert "not JSON" in cli.ok("group", "list").out
