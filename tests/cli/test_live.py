"""The screen of `status --watch`: it fits, it tells what matters, it acts on nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from queuectl import events, system
from queuectl.cli import live
from queuectl.cli.commands.run import _Watcher
from queuectl.cli.live import Board, Running, cut, running_lines, share
from queuectl.cli.pace import Pace
from queuectl.events import Event
from queuectl.queue import Queue
from queuectl.queue.liveness import note_of_runs, note_run
from queuectl.queue.report import Coming, Status, WorkerRow
from tests.support.commandline import CommandLine, LivingWorker

NOW = 1_800_000_000.0
SINCE = "2027-01-15T07:58:00.000Z"
COUNTS = {"pending": 3, "processing": 1, "completed": 5, "failed": 2, "dead": 0}


def worker_row(number: int, **changes: Any) -> WorkerRow:
    return WorkerRow(f"host-1-{number}-abc", 1, "host", f"job-{number}", SINCE, SINCE)._replace(**changes)


def board(
    workers: Sequence[WorkerRow] = (),
    coming: Sequence[Coming] = (),
    problems: Sequence[str] = (),
    paused: bool = False,
) -> Board:
    return Board(Status("/spool", COUNTS, list(workers), paused, list(problems)), coming, Pace(0, 0), NOW)


def drawn(picture: Board, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None, legacy_windows=False)
    lines = console.render_lines(picture, console.options.update(width=width, height=height), pad=False)
    texts = ["".join(segment.text for segment in line).rstrip() for line in lines]
    # Rich fills up what is left of the screen.
    return "\n".join(texts).rstrip("\n").split("\n")


class TestBoard:
    def test_what_it_tells(self) -> None:
        rows = [worker_row(1, percent=40, progress="copying"), worker_row(2), worker_row(3, job=None)]
        comes = [Coming("late", NOW + 4, 2), Coming("later", NOW - 1, 1)]
        assert drawn(board(rows, comes, ["a problem"], paused=True)) == [
            "spool       /spool   PAUSED",
            "pending     3",
            "processing  1",
            "completed   5",
            "failed      2",
            "dead        0",
            "ended       0 in 0.0 s (less deleted ones)",
            "running     job-1  2 min  ━━━━━━━━━━━━━━━━━━━━  40 %  copying",
            "            job-2  2 min",
            "            1 worker is idle",
            "next        late  in 4.0 s  attempt 2",
            "            later  now  attempt 1",
            "problems    a problem",
        ]

    def test_nobody_works(self) -> None:
        assert "running     no worker runs: queuectl worker start" in drawn(board())

    @pytest.mark.parametrize("height", range(1, 45))
    @pytest.mark.parametrize("width", [20, 80, 200])
    def test_whatever_the_size_it_fits(self, width: int, height: int) -> None:
        rows = [worker_row(number, percent=50, progress="中" * 50) for number in range(12)]
        comes = [Coming(f"job-{number}" * 20, NOW + number, 1) for number in range(10)]
        lines = drawn(board(rows, comes, ["problem " * 30] * 20), width, height)
        assert len(lines) == height
        assert max(map(cell_len, lines)) <= width
        if height >= 13:
            assert {"running", "next", "problems"} <= {line.split(None, 1)[0] for line in lines}
        if 13 <= height <= 40 and width >= 80:
            assert sum(bool(re.search(r"\band (\d+ )?more$", line)) for line in lines) == 3

    def test_of_many_the_first_and_how_many_more(self) -> None:
        rows = [worker_row(number) for number in range(20)]
        lines = drawn(board(rows), height=10)
        assert lines[-1].split() == ["and", "18", "more"]

    def test_of_those_to_come_not_all_are_counted(self) -> None:
        comes = [Coming(f"job-{number}", NOW, 1) for number in range(10)]
        assert drawn(board(coming=comes), height=40)[-1].split() == ["and", "more"]
        assert drawn(board(coming=comes), height=12)[-1].split() == ["and", "more"]
        assert "more" not in drawn(board(coming=comes[:9]), height=40)[-1]

    def test_it_acts_on_no_terminal(self) -> None:
        evil = "\x1b[2J\x9b31m\u202e\r\n[bold]"
        rows = [worker_row(1, job=f"a{evil}", progress=evil)]
        text = "".join(drawn(board(rows, [Coming(evil, NOW, 1)], [evil]), 200))
        assert not [sign for sign in ("\x1b", "\x9b", "\u202e", "\r") if sign in text]
        assert text.count("[bold]") == 4, "markup is text"

    def test_on_a_console_that_has_no_such_lines(self) -> None:
        (line,) = running_lines([Running("a", 1.0, 50, None)], 80, ascii_only=True)
        assert str(line) == f"a  1.0 s  {'#' * 10}{'-' * 10}  50 %"


@pytest.mark.parametrize(
    ("room", "wants", "given"),
    [
        (10, [2, 3, 1], [2, 3, 1]),
        (5, [9, 9, 9], [2, 2, 1]),
        (5, [1, 9, 0], [1, 4, 0]),
        (0, [1], [0]),
        (-3, [1], [0]),
        (9, [], []),
    ],
)
def test_room_is_shared(room: int, wants: list[int], given: list[int]) -> None:
    assert share(room, wants) == given


def test_what_is_cut_says_so() -> None:
    assert cut(["a", "b", "c"], 3) == ["a", "b", "c"]
    assert cut(["a", "b", "c"], 2) == ["a", "and 2 more"]
    assert cut(["a", "b", "c"], 1) == ["and 3 more"]
    assert cut(["a"], 0) == []


class TestPace:
    def test_a_rate_over_the_last_minute(self) -> None:
        pace = Pace(0.0, 100)
        for second in range(1, 181):
            pace.note(float(second), 100 + second // 2)
        assert (pace.ended, pace.seconds) == (90, 180)
        assert pace.a_minute == 30
        for second in range(181, 242):
            pace.note(float(second), 190)
        assert (pace.ended, pace.a_minute) == (90, 0)

    def test_not_told_before_it_can_be(self) -> None:
        pace = Pace(0.0, 0)
        assert pace.a_minute is None
        pace.note(4.0, 9)
        assert (pace.a_minute, pace.ended) == (None, 9)
        pace.note(6.0, 9)
        assert pace.a_minute == 90

    def test_a_purge_is_no_end_of_a_job_nor_a_beginning(self) -> None:
        pace = Pace(0.0, 10)
        for second, there in enumerate((12, 0, 1, 5), start=1):
            pace.note(second * 10.0, there)
        assert pace.ended == 2 + 1 + 4

    def test_it_keeps_no_more_than_a_minute(self) -> None:
        pace = Pace(0.0, 0)
        for second in range(10_000):
            pace.note(float(second), second)
        assert len(pace._seen) <= 62


class TestWatch:
    @pytest.fixture
    def person(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "is_interactive", lambda stream: True)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("LINES", "30")

    def test_it_goes_on_until_ctrl_c(
        self, cli: CommandLine, worker: LivingWorker, person: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pictures: list[Board] = []

        class Live:
            def __init__(self, picture: Board, **options: Any) -> None:
                assert options == {"screen": True, "auto_refresh": False}
                pictures.append(picture)

            def __enter__(self) -> Live:
                return self

            def __exit__(self, *error: object) -> None: ...

            def update(self, picture: Board, *, refresh: bool) -> None:
                pictures.append(picture)

        def sleep(seconds: float) -> None:
            assert seconds >= 1
            if len(pictures) == 3:
                raise KeyboardInterrupt
            worker.run(0)

        cli.ok("enqueue", "--id", "a", "--", "x")
        cli.ok("enqueue", "--id", "late", "--delay", "1h", "--", "x")
        monkeypatch.setattr(live, "Live", Live)
        monkeypatch.setattr(system, "sleep", sleep)
        cli.ok("status", "--watch")
        assert [one.status.counts["completed"] for one in pictures] == [0, 0, 1]
        assert [one.pace.ended for one in pictures] == [1] * 3
        (late,) = pictures[-1].coming
        assert (late.id, late.attempt) == ("late", 1)

    def test_a_look_that_takes_long_is_followed_by_a_long_rest(
        self, cli: CommandLine, person: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("init")
        now, pauses = [0.0], []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            raise KeyboardInterrupt

        def look(*_: object) -> Board:
            now[0] += 2.0
            return board()

        monkeypatch.setattr(live, "_look", look)
        monkeypatch.setattr(system, "monotonic", lambda: now[0])
        monkeypatch.setattr(system, "sleep", sleep)
        cli.ok("status", "--watch")
        assert pauses == [10.0]

    def test_where_no_person_looks_blocks_are_printed(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("init")
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(system, "sleep", sleep)
        out = cli.ok("status", "--watch").out
        assert out.count("pending     0") == 2
        assert "\x1b" not in out
        assert pauses == [1.0, 1.0]

    @pytest.mark.parametrize(
        ("name", "value"),
        [("TERM", "dumb"), ("TERM", "Unknown"), ("COLUMNS", "0"), ("LINES", "0"), ("LINES", "00")],
    )
    def test_on_a_terminal_that_cannot_draw_too(
        self, cli: CommandLine, person: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        cli.ok("init")

        def sleep(seconds: float) -> None:
            raise KeyboardInterrupt

        assert _Watcher(1, str(cli.spool))._log is None
        monkeypatch.setenv(name, value)
        monkeypatch.setattr(system, "sleep", sleep)
        assert "pending     0\n" in cli.ok("status", "--watch").out
        assert _Watcher(1, str(cli.spool))._log is not None, "nor does run draw a bar there"

    def test_blocks_are_not_printed_more_often_than_a_look_allows(
        self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cli.ok("init")
        now, pauses, status = [0.0], [], Queue.status

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            raise KeyboardInterrupt

        def slow(self: Queue) -> Status:
            now[0] += 2.0
            return status(self)

        monkeypatch.setattr(Queue, "status", slow)
        monkeypatch.setattr(system, "monotonic", lambda: now[0])
        monkeypatch.setattr(system, "sleep", sleep)
        cli.ok("status", "--watch")
        assert pauses == [10.0]


def test_run_asks_now_and_then_how_far_what_runs_is(
    cli: CommandLine, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.ok("init")
    tmp = worker.store.spool.tmp
    now = [100.0]
    monkeypatch.setattr(system, "monotonic", lambda: now[0])
    watcher = _Watcher(2, str(cli.spool))
    monkeypatch.setattr(watcher, "_move_on", lambda *_: None)
    watcher._log = None
    for name in ("a", "b"):
        watcher(Event(events.JOB_STARTED, f"host-1-{name}-abc", name))
    tmp.owner = "host-1-1-abc"
    watcher._runs = {"host-1-1-abc": ("a", 90.0), "host-1-2-abc": ("b", 95.0)}
    path = tmp.tidings(1, "a")[1]
    note_run(note_of_runs(worker.store.spool, "host-1-1-abc"), ["a"], number=1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("40 copying")
    assert watcher._telling() == [Running("a", 10.0, 40, "copying")], "of b nothing is told"
    with open(path, "w", encoding="utf-8") as file:
        file.write("50")
    assert watcher._telling()[0].percent == 40
    now[0] += 0.5
    assert watcher._telling()[0].percent == 50
    watcher(Event(events.JOB_COMPLETED, "host-1-1-abc", "a"))
    now[0] += 0.5
    assert watcher._telling() == []


def test_run_forgets_what_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = _Watcher(2, "spool")
    monkeypatch.setattr(watcher, "_move_on", lambda *_: None)
    watcher._log = None
    watcher(Event(events.JOB_STARTED, "w", "a"))
    watcher(Event(events.JOB_STARTED, "w", "b"))
    watcher(Event(events.JOB_COMPLETED, "w", "a"))
    assert watcher._runs["w"][0] == "b", "it was told of late"
    watcher(Event(events.JOB_INTERRUPTED, "w", "b"))
    assert watcher._runs == {}
