"""Hooks with real workers and commands."""

from __future__ import annotations

import json

import pytest

from tests.support.commands import python
from tests.support.program import PATIENCE, Program
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_a_hook_is_run_and_told_of_what(program: Program) -> None:
    code = "import os, sys; print(os.environ['QUEUECTL_HOOK_JOB_ID'], sys.stdin.read())"
    program.make()
    (program.spool / "hooks" / "on_dead.json").write_text(
        json.dumps({"command": python(code)}), encoding="utf-8"
    )
    own = {"command": python("raise SystemExit(1)"), "max_retries": 0}
    job = {"command": python("raise SystemExit(3)"), "max_retries": 0, "on_failure": own}
    with program.workers(2) as workers:
        program.drop("bad.json", job)
        program.wait_in("dead", "bad")
        wait_until(lambda: len(program.names("done")) == 1, "the hook for all has run", PATIENCE)
        wait_until(lambda: len(program.names("dead")) == 2, "the job's own is dead", PATIENCE)
        program.ok("worker", "stop")
        workers.end()
    (name,) = program.names("done")
    job_id, told = program.ok("logs", name[: -len(".json")]).out.split(" ", 1)
    assert (job_id, json.loads(told)["exit_code"]) == ("bad", 3)
    assert program.record("dead", "bad")["attempts"] == 1
