from __future__ import annotations

import json
from pathlib import Path

from tests.support.commandline import CommandLine, LivingWorker


def test_set_list_remove(cli: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "alarm.json").write_text('{"command": ["a", "b"], "max_retries": 2}', encoding="utf-8")
    cli.ok("hook", "set", "on_dead", "--file", str(tmp_path / "alarm.json"), "--timeout", "5")
    path = cli.spool / "hooks" / "on_dead.json"
    assert json.loads(path.read_bytes()) == {"command": ["a", "b"], "max_retries": 2, "timeout": 5.0}
    assert cli.json("hook", "set", "on_success", '{"command": ["x"]}')["event"] == "on_success"
    assert [(row["event"], row["command"]) for row in cli.json("hook", "list")] == [
        ("on_dead", ["a", "b"]),
        ("on_success", ["x"]),
    ]
    assert "on_dead     a b" in cli.ok("hook", "list").out
    cli.drop("on_failure.json", b"{", "hooks")
    assert "not JSON" in cli.ok("hook", "list").out
    cli.ok("hook", "remove", "on_dead")
    assert not path.exists()
    assert "no hook 'on_dead' for all jobs" in cli.fails(3, "hook", "remove", "on_dead")
    assert "on_monday" in cli.fails(2, "hook", "set", "on_monday", "--", "x")


def test_of_one_job(cli: CommandLine, worker: LivingWorker) -> None:
    cli.ok(
        "enqueue", "--id", "a", "--max-retries", "0", "--on-dead", "alarm", "--on-success", "yes", "--", "x"
    )
    assert cli.record("pending", "a")["on_dead"] == "alarm"
    worker.run(7)
    (hook,) = [row for row in cli.json("list") if row["id"] != "a"]
    assert hook["command"] == "alarm"
    assert cli.json("show", hook["id"])["hook_of"] == "a"
