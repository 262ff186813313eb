"""Which spool a call is about, and how one comes into being."""

from __future__ import annotations

from pathlib import Path

import pytest

from queuectl.spool import layout
from tests.support.commandline import CommandLine


def test_the_default_is_made_at_first_use_with_a_word_on_stderr(cli: CommandLine) -> None:
    first = cli.ok("list", "--json")
    assert first.out == "[]\n"
    (line,) = first.err.splitlines()
    assert line == f"made a new spool in {cli.spool}"
    assert cli.ok("list", "--json").err == "", "the second time it says nothing"
    for name in ("pending", "processing", "done", "failed", "dead", "logs", "tmp", "locks"):
        assert (cli.spool / name).is_dir()
    text = (cli.spool / "README.txt").read_bytes()
    assert b"pending" in text
    assert text.count(b"\n") == text.count(b"\r\n")
    assert (cli.spool / "job.schema.json").exists()


def test_the_option_stands_before_or_behind_and_wins_over_the_environment(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUEUECTL_SPOOL", "from-environment")

    def used(*args: str) -> Path:
        return Path(cli.json(*args)["spool"])

    assert used("status") == cli.here / "from-environment"
    assert used("--spool", "before", "status") == cli.here / "before"
    assert used("status", "--spool", "behind") == cli.here / "behind"
    assert used("--spool", "before", "status", "--spool", "behind") == cli.here / "behind"
    cli.ok("dlq", "list", "--spool", "nested")
    assert layout.is_spool(str(cli.here / "nested"))
    assert not cli.spool.exists()
    monkeypatch.setenv("QUEUECTL_SPOOL", "")
    assert used("status") == cli.spool


def test_an_empty_name_is_refused(cli: CommandLine) -> None:
    """As from a script whose variable was never set: the default would be somebody else's queue."""
    assert "--spool" in cli.fails(2, "--spool", "", "status")
    assert not cli.spool.exists()


def test_home_and_odd_names(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(cli.here))
    assert Path(cli.json("--spool", "~/jobs", "status")["spool"]) == cli.here / "jobs"
    odd = "my jobs (ü) & [more]"
    cli.ok("--spool", odd, "enqueue", "--id", "a", "--", "x")
    assert [job["id"] for job in cli.json("list", "--spool", odd)] == ["a"]
    assert (cli.here / odd / "pending" / "a.json").exists()


def test_init(cli: CommandLine) -> None:
    assert "made a new spool" in cli.ok("init").err
    assert "already" in cli.ok("init").err
    (cli.spool / "failed").rmdir()
    (cli.spool / "README.txt").unlink()
    cli.ok("init")
    assert (cli.spool / "failed").is_dir()
    assert (cli.spool / "README.txt").exists()


def test_a_spool_that_lacks_empty_folders_is_one(cli: CommandLine) -> None:
    """Git and zip leave empty folders out."""
    cli.ok("enqueue", "--id", "a", "--", "x")
    for name in ("failed", "logs", "tmp"):
        (cli.spool / name).rmdir()
    assert [job["id"] for job in cli.json("list")] == ["a"]
    cli.ok("enqueue", "--id", "b", "--", "x")
    assert cli.json("status")["counts"]["pending"] == 2


def test_an_empty_folder_and_one_of_a_repository_become_spools(cli: CommandLine) -> None:
    (cli.here / "empty").mkdir()
    cli.ok("--spool", "empty", "status")
    (cli.here / "cloned" / "pending").mkdir(parents=True)
    (cli.here / "cloned" / ".gitignore").write_text("*", encoding="utf-8")
    (cli.here / "cloned" / "README.txt").write_text("mine", encoding="utf-8")
    cli.ok("--spool", "cloned", "status")
    assert (cli.here / "cloned" / "README.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    "args", [("enqueue", "{}"), ("config", "get", "nothing"), ("enqueue", "--file", "none")]
)
def test_bad_input_makes_no_spool(cli: CommandLine, args: tuple[str, ...]) -> None:
    cli.fails(2, *args)
    assert not cli.spool.exists()
