"""What moves on a terminal: `status --watch`, and how far the jobs of `run` are. Imported to be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Callable, NamedTuple, Optional, Union

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.text import Text

from queuectl import system
from queuectl.cli.pace import Pace, rest
from queuectl.cli.terminal import cell, how_far
from queuectl.moment import format_duration, read_moment
from queuectl.queue import Queue
from queuectl.queue.report import Coming, Status
from queuectl.state import State

_LABEL = 12
_BAR = 20
_COMING = 10
"""Jobs asked for, of those whose time is to come: to count them all would take longer with each."""
_MORE = "and more"
_STATE_STYLES = {"failed": "yellow", "dead": "red"}

Line = Union[str, Text]


class Running(NamedTuple):
    """A job that runs: since how many seconds, and how far it is."""

    job: str
    seconds: Optional[float]
    percent: Optional[float]
    text: Optional[str]


class Board(NamedTuple):
    """A picture of the queue that fits the terminal, whatever its size."""

    status: Status
    coming: Sequence[Coming]
    pace: Pace
    now: float

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        """What rich draws: as many lines as there is room for, none of them folded."""
        # Where there is no screen of its own (older consoles of Windows), a line is left for the cursor.
        width, height = options.max_width, options.height or console.height - 1
        for line in self.lines(width, height, ascii_only=options.ascii_only or options.legacy_windows):
            line.truncate(width, overflow="ellipsis")
            line.no_wrap, line.end = True, "\n"
            yield line

    def lines(self, width: int, height: int, *, ascii_only: bool = False) -> list[Text]:
        """Its lines; where there are too many, the ends of its lists are left out."""
        head = [self._spool(), *self._counts(), _labelled("ended", self._ended())]
        lists: list[tuple[str, list[Line]]] = [
            ("running", self._running(width - _LABEL, ascii_only=ascii_only)),
            ("next", self._next()),
            ("problems", [cell(text) for text in self.status.problems]),
        ]
        room = share(height - len(head), [len(lines) for _, lines in lists])
        for (label, lines), most in zip(lists, room):
            head += [_labelled("" if number else label, line) for number, line in enumerate(cut(lines, most))]
        return head[:height]

    def _spool(self) -> Text:
        line = _labelled("spool", cell(self.status.spool))
        return line.append("   PAUSED", style="bold yellow") if self.status.paused else line

    def _counts(self) -> list[Text]:
        return [
            Text(f"{state:<{_LABEL}}{count}", style=_STATE_STYLES.get(state, "") if count else "")
            for state, count in self.status.counts.items()
        ]

    def _ended(self) -> str:
        rate = self.pace.a_minute
        a_minute = "" if rate is None else f"{rate:.3g} a minute, "
        return f"{a_minute}{self.pace.ended} in {format_duration(self.pace.seconds)} (less deleted ones)"

    def _running(self, width: int, *, ascii_only: bool) -> list[Line]:
        runs = [
            Running(row.job, self._since(row.job_since), row.percent, row.progress)
            for row in self.status.workers
            if row.job is not None
        ]
        idle = len(self.status.workers) - len(runs)
        if not self.status.workers:
            return ["no worker runs: queuectl worker start"]
        rest: list[Line] = [f"{idle} worker{'s are' if idle > 1 else ' is'} idle"] if idle else []
        return [*running_lines(runs, width, ascii_only=ascii_only), *rest]

    def _since(self, moment: Optional[str]) -> Optional[float]:
        began = read_moment(moment)
        return None if began is None else max(self.now - began, 0.0)

    def _next(self) -> list[Line]:
        lines: list[Line] = []
        for job in self.coming:
            when = f"in {format_duration(job.due - self.now)}" if job.due > self.now else "now"
            lines.append(f"{cell(job.id)}  {when}  attempt {job.attempt}")
        return [*lines, _MORE] if len(lines) == _COMING else lines


def _labelled(label: str, line: Line) -> Text:
    return Text(f"{label:<{_LABEL}}").append(line)


def running_lines(runs: Sequence[Running], width: int, *, ascii_only: bool = False) -> list[Line]:
    """A line for each: id, time, and where it tells, how far it is."""
    times = ["" if one.seconds is None else format_duration(one.seconds) for one in runs]
    # By what it takes on the terminal: some characters take two places.
    wide = min(max((cell_len(cell(one.job)) for one in runs), default=0), width // 3)
    longest = max(map(len, times), default=0)
    lines: list[Line] = []
    for one, time in zip(runs, times):
        line = Text(cell(one.job))
        line.truncate(wide, overflow="ellipsis", pad=True)
        line.append(f"  {time:>{longest}}  ")
        if one.percent is not None:
            line.append(_bar(one.percent, ascii_only=ascii_only)).append("  ")
        lines.append(line.append(how_far(one.percent, one.text)))
    return lines


def _bar(percent: float, *, ascii_only: bool) -> Text:
    done = round(percent / 100 * _BAR)
    full, rest = ("#", "-") if ascii_only else ("━", "━")
    return Text(full * done, style="green").append(rest * (_BAR - done), style="bright_black")


def share(room: int, wants: Sequence[int]) -> list[int]:
    """Lines for each of several lists: one to each in turns, until all have theirs or none is left."""
    given = [0] * len(wants)
    while room > 0 and given != list(wants):
        for number, wanted in enumerate(wants):
            if given[number] < wanted and room > 0:
                given[number] += 1
                room -= 1
    return given


def cut(lines: Sequence[Line], most: int) -> list[Line]:
    """At most so many of them, the last of which says how many are left out."""
    if len(lines) <= most or most == 0:
        return list(lines[:most])
    return [*lines[: most - 1], _MORE if lines[-1] == _MORE else f"and {len(lines) - most + 1} more"]


def watch(queue: Queue) -> None:
    """Draw the queue again and again, until Ctrl+C raises KeyboardInterrupt."""
    board = _look(queue, None)
    # On a screen of its own: it is drawn over in place, and what was there before comes back.
    with Live(board, screen=True, auto_refresh=False) as live:
        while True:
            began = system.monotonic()
            board = _look(queue, board.pace)
            live.update(board, refresh=True)
            system.sleep(rest(system.monotonic() - began))


def _look(queue: Queue, pace: Optional[Pace]) -> Board:
    status = queue.status()
    ended = status.counts[State.COMPLETED.value] + status.counts[State.DEAD.value]
    if pace is None:
        pace = Pace(system.monotonic(), ended)
    pace.note(system.monotonic(), ended)
    return Board(status, queue.coming(_COMING), pace, system.now())


class RunProgress(Progress):
    """The bar of `run`, and below it the jobs that tell how far they are; `runs` is asked for these."""

    def __init__(self, runs: Callable[[], Sequence[Running]]) -> None:
        columns = (SpinnerColumn(), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._runs, self._console = runs, Console(stderr=True)
        super().__init__(*columns, console=self._console, transient=True)

    def get_renderable(self) -> RenderableType:
        """What is drawn, some times a second."""
        console = self._console
        lines = running_lines(self._runs(), console.width, ascii_only=console.options.ascii_only)
        return Group(super().get_renderable(), *map(_in_one_line, cut(lines, max(console.height - 4, 0))))


def _in_one_line(line: Line) -> Text:
    text = line if isinstance(line, Text) else Text(line)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text
