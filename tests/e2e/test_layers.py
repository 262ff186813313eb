"""Settings of one call alone, as its workers have them: all of them, in every process and thread."""

from __future__ import annotations

import sys

from tests.support.program import Program

ALL = [f"job-{number}" for number in range(12)]


def attempts(program: Program) -> dict[str, int]:
    return {row["id"]: row["attempts"] for row in program.json("list", "--state", "dead")}


def test_all_workers_of_one_start_have_the_environments_settings(program: Program) -> None:
    fails = [sys.executable, "-c", "raise SystemExit(1)"]
    program.put(*({"id": name, "command": fails} for name in ALL))
    program.env["QUEUECTL_MAX_RETRIES"] = "0"
    program.ok("worker", "start", "--count", "4", "--drain")
    assert attempts(program) == dict.fromkeys(ALL, 1), "none of them gave a job another try"


def test_an_option_is_for_the_workers_of_this_call_and_what_they_run_does_not_inherit_it(
    program: Program,
) -> None:
    """What a command inherits is the environment, and its settings with it, as everything else in there."""
    program.env["QUEUECTL_TIMEOUT"] = "50"
    tells = [sys.executable, "-m", "queuectl", "config", "get", "--origin"]
    program.ok("enqueue", "--id", "inner", "--", *tells)
    program.ok("enqueue", "--id", "own", "--env", "QUEUECTL_TIMEOUT=40", "--", *tells)
    program.ok("worker", "start", "--count", "2", "--drain", "--set", "max_retries=0")
    told = {line.split()[0]: line.split()[1:] for line in program.ok("logs", "inner").lines if line}
    assert told["timeout"] == ["50", "environment", "QUEUECTL_TIMEOUT"]
    assert told["max_retries"] == ["3", "default"]
    assert "timeout         40" in program.ok("logs", "own").out
    assert program.json("config", "get", "max_retries") == {"max_retries": 3}
