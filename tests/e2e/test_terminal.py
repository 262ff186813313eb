"""What a person at a terminal sees: progress, tables, a status that renews itself."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

from tests.support.commands import python
from tests.support.program import PATIENCE, ROOT, WINDOWS, Program
from tests.support.terminal import Terminal
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(WINDOWS, reason="needs a terminal that a test can open: pty"),
]


def test_run_shows_progress_and_then_what_became_of_each(program: Program) -> None:
    program.make(max_retries="0")
    jobs = [str(ROOT / "examples" / f"{name}.json") for name in ("job_success", "job_fail")]
    with Terminal(program, "run", *jobs) as terminal:
        assert terminal.end() == 0
        text = terminal.text
    assert "Traceback" not in text
    assert "2/2" in text, "progress"
    assert "job_success" in text
    assert "exit code 1" in text
    assert "\x1b[" in text, "drawn"
    assert program.where("job_success") == ["done"]

    with Terminal(program, "list") as terminal:
        assert terminal.end() == 0
        assert "job_fail" in terminal.text
        assert "\x1b[1m" in terminal.text, "a table"
    # What looks like markup is text.
    program.ok("enqueue", "--id", "odd", '{"command": "echo [/red] [b]x"}')
    with Terminal(program, "list", "--state", "pending") as terminal:
        assert terminal.end() == 0
        assert "echo [/red] [b]x" in terminal.text
    with Terminal(program, "show", "job_fail") as terminal:
        assert terminal.end() == 0
        assert "exit code 1" in terminal.text


def test_status_watch_renews_itself_until_ctrl_c(program: Program) -> None:
    program.make()
    with Terminal(program, "status", "--watch") as terminal:
        wait_until(lambda: "pending     0" in terminal.text, "the first picture", PATIENCE)
        program.drop("new.json", {"command": "x"})
        wait_until(lambda: "pending     1" in terminal.text, "the drop is seen", PATIENCE)
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
        assert "Traceback" not in terminal.text


def test_status_watch_shows_what_runs_and_what_comes(program: Program) -> None:
    program.make(backoff_base="1000")
    program.ok("enqueue", "--id", "fails", "--", *python("raise SystemExit(3)"))
    tells = "import os, time\nopen(os.environ['QUEUECTL_PROGRESS'], 'w').write('40 copying')\ntime.sleep(600)"
    with program.workers(), Terminal(program, "status", "--watch", columns=100) as terminal:
        program.wait_in("failed", "fails")
        program.ok("enqueue", "--id", "copies", "--", *python(tells))
        wait_until(lambda: "40 %  copying" in terminal.text, "how far it is", PATIENCE)
        assert "copies" in terminal.text
        assert "next        fails  in 16 min" in terminal.text
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
        assert "Traceback" not in terminal.text
        assert "\x1b[?1049l" in terminal.text[-20:], "what was there before is back"
        program.ok("cancel", "copies")


def test_status_watch_follows_the_size_of_the_terminal(program: Program) -> None:
    program.env.pop("COLUMNS", None)
    program.env.pop("LINES", None)
    jobs = "".join(f'{{"command": "x", "run_at": "2999-01-0{day}T00:00:00Z"}}\n' for day in range(1, 8))
    program.ok("enqueue", "-", stdin=jobs.encode())

    def pictures() -> list[list[str]]:
        """Each drawn from the upper left corner on; what the last is made of may still be coming."""
        drawn = terminal.text.split("\x1b[H")[1:-1]
        return [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", one).splitlines() for one in drawn]

    def is_drawn(lines: int, columns: int) -> bool:
        last = pictures()[-1:]
        return bool(last) and len(last[0]) == lines and max(map(len, last[0])) == columns

    with Terminal(program, "status", "--watch", size=(30, 100)) as terminal:
        wait_until(lambda: is_drawn(30, 100), "it fits", PATIENCE)
        assert sum("attempt 1" in line for line in pictures()[-1]) == 7
        terminal.resize(11, 60)
        wait_until(lambda: is_drawn(11, 60), "it fits again", PATIENCE)
        assert any(re.search(r"and \d more", line) for line in pictures()[-1])
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0


def test_run_shows_how_far_its_jobs_are(program: Program) -> None:
    tells = (
        "import os, time\nopen(os.environ['QUEUECTL_PROGRESS'], 'w').write('40 copying')\n"
        f"while not os.path.exists({str(program.here / 'go')!r}): time.sleep(0.05)"
    )
    program.ok("enqueue", "--id", "copies", "--", *python(tells))
    with Terminal(program, "run") as terminal:
        wait_until(lambda: "40 %  copying" in terminal.text, "how far it is", PATIENCE)
        (program.here / "go").touch()
        assert terminal.end() == 0
        assert "Traceback" not in terminal.text
    assert program.where("copies") == ["done"]


def test_purge_asks(program: Program) -> None:
    program.ok("enqueue", "--id", "old", "--", "x")
    program.ok("cancel", "old")
    with Terminal(program, "dlq", "purge") as terminal:
        wait_until(lambda: "for good?" in terminal.text, "the question", PATIENCE)
        terminal.type("n\n")
        assert terminal.end() == 130
    assert program.where("old") == ["dead"]
    with Terminal(program, "dlq", "purge") as terminal:
        wait_until(lambda: "for good?" in terminal.text, "the question", PATIENCE)
        terminal.type("y\n")
        assert terminal.end() == 0
    assert program.where("old") == []


def test_a_reader_that_goes_away_is_no_error(program: Program) -> None:
    """`queuectl list | head -1`: whoever reads has seen enough."""
    jobs = "\n".join(f'{{"id": "job-{number}", "command": "x"}}' for number in range(2000))
    program.ok("enqueue", "-", stdin=jobs.encode())
    process = subprocess.Popen(
        [sys.executable, "-m", "queuectl", "--spool", str(program.spool), "list", "--json"],
        cwd=program.here,
        env=program.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"[\n"
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), error) == (0, b"")


def test_what_acts_on_many_asks_and_numbers_are_drawn(program: Program) -> None:
    program.make(max_retries="0")
    jobs = [f'{{"id": "{name}", "command": "exit 7", "group": "g"}}' for name in "abc"]
    program.ok("enqueue", "-", stdin="\n".join(jobs).encode())
    program.ok("run")
    for answer, left in (("n", 3), ("y", 0)):
        with Terminal(program, "dlq", "retry", "--group", "g") as terminal:
            wait_until(lambda: "Run 3 dead jobs again?" in terminal.text, "it asks", PATIENCE)
            terminal.type(f"{answer}\n")
            assert terminal.end() == (130 if answer == "n" else 0)
            assert ("3 back to pending" in terminal.text) == (answer == "y")
            assert ("nothing done" in terminal.text) == (answer == "n")
        assert len(program.names("dead")) == left
    program.ok("run")
    with Terminal(program, "stats") as terminal:
        assert terminal.end() == 0
        text = terminal.text
    assert re.search(r"runs +6 +\(6 = 100 % failed, 3 retries\)", text)
    assert re.search(r"\d\d:\d\d  3 +100 %  ▒+", text), "a chart"
