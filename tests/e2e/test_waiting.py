"""Scripts that wait for jobs, and people who watch them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.support.commands import python
from tests.support.program import PATIENCE, WINDOWS, Program, started
from tests.support.waiting import wait_until

pytestmark = pytest.mark.e2e

REPORT = """
import json, os
for percent in (10, 50, 100):
    with open(os.environ["QUEUECTL_PROGRESS"], "w") as file:
        file.write(f"{percent} {os.environ['QUEUECTL_JOB_ID']}")
with open(os.environ["QUEUECTL_RESULT"], "w") as file:
    json.dump({"attempt": int(os.environ["QUEUECTL_ATTEMPT"])}, file)
raise SystemExit(0 if os.environ["QUEUECTL_ATTEMPT"] == "2" else 7)
"""


def test_a_script_waits_through_a_retry_for_a_result(program: Program) -> None:
    program.make(backoff_base="0.2")
    with program.workers():
        program.ok("enqueue", "--id", "report", "--", *python(REPORT))
        program.ok("enqueue", "--id", "fails", "--max-retries", "0", "--", *python("raise SystemExit(9)"))
        program.ok("enqueue", "--id", "missing", "--max-retries", "0", "--", "no-such-program-anywhere")
        answer = program.call("wait", "report", "fails", "missing", "--timeout", "60", "--json")
        assert answer.code == 9
        rows = {row["id"]: row for row in answer.json}
        assert (rows["report"]["attempts"], rows["report"]["result"]) == (2, {"attempt": 2})
        assert rows["missing"]["exit_code"] is None
        assert program.call("wait", "missing").code == 127
        assert program.call("wait", "report").code == 0
        left = [path.name for path in (program.spool / "tmp").iterdir()]
        assert [name for name in left if name.endswith(("result", "progress"))] == []


@pytest.mark.parametrize("code", [3221225477, 256] if WINDOWS else [255])
def test_the_exit_code_is_passed_on(program: Program, code: int) -> None:
    with program.workers():
        exits = python(f"import os; os._exit({code - 2**32 if code >= 2**31 else code})")
        answer = program.call("enqueue", "--wait", "--max-retries", "0", "--", *exits)
        assert answer.code % 2**32 == code


@pytest.mark.skipif(WINDOWS, reason="Windows has no signals")
def test_a_signal_is_passed_on(program: Program) -> None:
    with program.workers():
        killed = python("import os; os.kill(os.getpid(), 9)")
        assert program.call("enqueue", "--wait", "--max-retries", "0", "--", *killed).code == 137


def test_a_timeout_of_the_job_is_124_and_of_the_wait_125(program: Program) -> None:
    with program.workers():
        sleeps = python("import time; time.sleep(600)")
        assert (
            program.call("enqueue", "--wait", "--timeout", "0.5", "--max-retries", "0", "--", *sleeps).code
            == 124
        )
        answer = program.call("enqueue", "--id", "long", "--wait", "--wait-limit", "0.5", "--", *sleeps)
        assert (answer.code, answer.lines) == (125, ["long"])
        program.ok("cancel", "long")
        assert program.call("wait", "long").code == 1


@pytest.mark.skipif(WINDOWS, reason="Ctrl+C to a process of its own needs a console")
def test_ctrl_c_leaves_the_job(program: Program) -> None:
    program.make()
    waiting = program.start("enqueue", "--wait", "--id", "a", "--", "x")
    wait_until(lambda: waiting.out == "a\n", "its id", PATIENCE)
    waiting.interrupt()
    assert waiting.end().code == 130
    assert "stays in the queue" in waiting.err
    assert program.where("a") == ["pending"]


def test_a_log_is_followed_through_its_retry(program: Program) -> None:
    program.make(backoff_base="0.5")
    program.ok("enqueue", "--id", "report", "--", *python("import os\nprint('told')\n" + REPORT))
    following = program.start("logs", "report", "--follow")
    with program.workers():
        assert following.end().code == 0
    told = [line for line in following.out.splitlines() if line and not line.startswith("--- attempt 2")]
    assert told == ["told", "told"]
    # On a busy machine its retry may begin before it was seen to wait, or the hint come that no worker runs.
    told = [line.partition(";")[0] for line in following.err.splitlines() if "no worker" not in line]
    assert told == ["attempt 1 failed (exit code 7)", "report has completed"]
    assert json.loads((program.spool / "done" / "report.json").read_bytes())["result"] == {"attempt": 2}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_reader_that_goes_away_changes_no_code(program: Program, stream: str) -> None:
    """`queuectl wait a | head -1`; a code of Python's own at its exit would be 120."""
    with program.workers():
        exits = python("raise SystemExit(5)")
        program.ok("enqueue", "--id", "a", "--max-retries", "0", "--", *exits)
        for args, code in (
            (["wait", "a"], 5),
            (["wait", "a", "--json"], 5),
            (["enqueue", "--wait", "--max-retries", "0", "--", *exits], 5),
            (["wait", "nobody"], 3),
        ):
            reads, writes = os.pipe()
            os.close(reads)
            streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            words = [sys.executable, "-m", "queuectl", "--spool", str(program.spool), *args]
            with started(words, cwd=program.here, env=program.env, **{**streams, stream: writes}) as process:
                os.close(writes)
                assert (args, process.wait(PATIENCE)) == (args, code)
