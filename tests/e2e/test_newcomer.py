"""The first minutes with the program, as the README shows them."""

from __future__ import annotations

import sys

import pytest

from tests.support.ledger import Ledger
from tests.support.program import ROOT, Program

pytestmark = pytest.mark.e2e


def test_run_examples_in_an_empty_folder(program: Program) -> None:
    result = program.ok("run", str(ROOT / "examples"), spool=False)
    assert "spool" in result.err, "a new ./spool is made with a word on stderr"
    rows = {line.split()[0]: line for line in result.lines}
    assert set(rows) == {"ID", "job_fail", "job_sleep", "job_success"}
    assert " completed " in rows["job_success"]
    assert " completed " in rows["job_sleep"]
    assert " failed " in rows["job_fail"]
    assert "exit code 1" in rows["job_fail"]
    assert "next try at 20" in rows["job_fail"]
    assert "retry in 2 s" in result.err

    failed = program.record("failed", "job_fail")
    assert failed["attempts"] >= 1
    assert failed["run_at"] > failed["updated_at"]
    assert program.where("job_success") == ["done"]
    assert program.where("job_sleep") == ["done"]
    assert program.left_behind() == []
    assert program.ok("logs", "job_success").lines == ["Hello from queuectl"]
    assert "This job fails on purpose" in program.ok("logs", "job_fail").out

    again = program.ok("run", str(ROOT / "examples" / "job_success.json"), "--count", "2", "--json")
    assert [(job["id"], job["state"]) for job in again.json if job["id"] != "job_fail"] == [
        ("job_success-2", "completed")
    ]
    assert "job_success-2" in again.err, "it says that it has another name"


def test_enqueue_then_a_worker_that_drains(program: Program, ledger: Ledger) -> None:
    for name in ("first", "second"):
        assert program.ok("enqueue", "--id", name, "--", *ledger.command(name)).lines == [name]
    odd = ["-x", "--spool", "--", "a b", 'say "hi"', "100%", "*.json", "--json"]
    code = "import sys; print(ascii(sys.argv[1:]))"
    program.ok("enqueue", "--id", "odd", "--", sys.executable, "-I", "-S", "-c", code, *odd)
    worker = program.ok("worker", "start", "--drain", "--count", "2")
    assert program.names("done") == ["first.json", "odd.json", "second.json"]
    assert program.ok("logs", "odd").lines == [ascii(odd)]
    assert (ledger.words("first"), ledger.words("second")) == (["start", "end"], ["start", "end"])
    for words in ("first  started (attempt 1)", "first  completed in "):
        assert words in worker.err
    assert worker.out == ""
    assert program.left_behind() == []


def test_queuectl_is_quick_to_say_what_it_can(program: Program) -> None:
    """Without a spool, and from a module path: `python -m queuectl`."""
    assert program.ok("--version", spool=False).out.startswith("queuectl ")
    assert "run examples" in program.ok(spool=False).out
    assert not program.spool.exists()


def test_files_that_bear_names_of_pythons_own_or_ours_are_not_taken_for_those(program: Program) -> None:
    for name in ("queue", "logging", "click", "msgspec"):
        (program.here / f"{name}.py").write_text("raise SystemExit('not this one')")
    program.ok("enqueue", "--id", "job", "--", sys.executable, "-I", "-S", "-c", "pass")
    program.ok("worker", "start", "--drain")
    assert program.names("done") == ["job.json"]
