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


def test_show_and_remove_for_programs(cli: CommandLine) -> None:
    cli.ok("hook", "set", "on_dead", "--env", "TOKEN=secret", "--timeout", "5", "--", "alarm")
    shown = cli.json("hook", "show", "on_dead")
    assert (shown["event"], shown["problem"], shown["job"]["timeout"]) == ("on_dead", None, 5.0)
    assert "secret" not in json.dumps(shown)
    assert "secret" in cli.ok("hook", "show", "on_dead", "--secrets").out
    path = cli.drop("on_failure.json", b"{", "hooks")
    shown = cli.json("hook", "show", "on_failure")
    assert (shown["job"], shown["problem"][:8]) == (None, "not JSON")
    assert "problem             not JSON" in cli.ok("hook", "show", "on_failure").out
    assert "no hook 'on_success'" in cli.fails(3, "hook", "show", "on_success")
    assert cli.json("hook", "remove", "on_failure") == [{"event": "on_failure", "file": str(path)}]


def test_what_a_hook_cannot_be_is_refused(cli: CommandLine) -> None:
    cli.ok("init")
    told = cli.fails(2, "hook", "set", "on_dead", '{"command": "x", "on_success": "y"}')
    assert "on_success: hooks have no hooks" in told
    told = cli.fails(2, "enqueue", '{"command": "x", "on_dead": {"file": "nope.json"}}')
    assert told.startswith(f"queuectl: on_dead: {cli.here / 'nope.json'}: ")
    (cli.here / "bad.json").write_text('{"comand": "x"}', encoding="utf-8")
    told = cli.fails(2, "enqueue", '{"command": "x", "on_dead": {"file": "bad.json"}}')
    assert "bad.json: unknown field 'comand'" in told
    (cli.here / "alarm.json").write_text('{"command": "x"}', encoding="utf-8")
    cli.ok("enqueue", '{"command": "x", "on_dead": {"file": "alarm.json"}}')


def test_options_of_edit_and_of_schedules(cli: CommandLine) -> None:
    cli.ok("enqueue", "--id", "a", "--on-dead", "before", "--", "x")
    cli.ok("edit", "a", "--on-dead", "after", "--on-failure", "too")
    record = cli.record("pending", "a")
    assert (record["on_dead"], record["on_failure"]) == ("after", "too")
    cli.ok("schedule", "add", "s", "--every", "1h", "--on-success", "done", "--", "x")
    assert json.loads((cli.spool / "schedules" / "s.json").read_bytes())["job"]["on_success"] == "done"


def test_cancel_tells_of_a_hook_that_cannot_be_made_for_what_it_frees(cli: CommandLine) -> None:
    cli.ok("init")
    for job_id, worker in (("a", "host-1-1-abc"), ("b", "host-2-1-abc")):
        (cli.spool / "processing" / worker).mkdir()
        (cli.spool / "locks" / f"{worker}.lock").touch()
        job = {"command": "x", "on_failure": {"file": "nope.json"}}
        cli.drop(f"{job_id}.json", job, f"processing/{worker}")
    assert "on_failure of b is not run: " in cli.ok("cancel", "a").err
