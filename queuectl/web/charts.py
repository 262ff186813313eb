"""Throughput and waiting time over the last hour or day, as shapes that a template draws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Optional

from queuectl.index.runs import Part
from queuectl.measures import percentile
from queuectl.moment import format_duration, format_moment
from queuectl.queue import Queue

WIDTH, HEIGHT = 600, 120
"""Of a drawing, in its own units."""
_GAP = 0.2
"""Of a bar's width."""


class Span(NamedTuple):
    """A time up to now that charts are drawn of, and how long each bar is, in seconds."""

    name: str
    label: str
    seconds: float
    step: float


SPANS = (Span("hour", "last hour", 3600.0, 60.0), Span("day", "last day", 86400.0, 1800.0))


class Bar(NamedTuple):
    """A bar, from the bottom up, and what it says."""

    x: float
    width: float
    parts: list[tuple[str, float, float]]
    """Of each its class, its top and its height."""
    text: str


class Chart(NamedTuple):
    """A drawing, and what it says in words."""

    title: str
    summary: str
    top: str
    """The value that a bar of full height stands for."""
    bars: list[Bar]
    begin: str
    """When its first bar begins."""


def span_of(name: Optional[str]) -> Span:
    """The one of this name; else the last hour."""
    return next((span for span in SPANS if span.name == name), SPANS[0])


class Charts(NamedTuple):
    """What is drawn, each of the same size."""

    all: list[Chart]
    width: int = WIDTH
    height: int = HEIGHT


def of_queue(queue: Queue, span: Span) -> Charts:
    """Throughput and waiting time over this time."""
    parts = queue.numbers.lately(span.seconds, span.step)
    return Charts([_throughput(parts, span), _waiting(parts)])


def _throughput(parts: Sequence[Part], span: Span) -> Chart:
    runs, failed = sum(part.runs for part in parts), sum(part.failed for part in parts)
    most = max([1, *(part.runs for part in parts)])
    bars = [
        _bar(
            number,
            len(parts),
            [("good", (part.runs - part.failed) / most), ("bad", part.failed / most)],
            f"{format_moment(part.at)[11:16]} UTC: {part.runs:,} runs, {part.failed:,} failed",
        )
        for number, part in enumerate(parts)
    ]
    summary = f"{runs:,} ended, {failed:,} failed; {runs / span.seconds * 60:.3g} a minute"
    return Chart(
        "Runs", summary, f"{most:,} in {format_duration(span.step)}", bars, format_moment(parts[0].at)
    )


def _waiting(parts: Sequence[Part]) -> Chart:
    half = [percentile(part.waited, 0.5) for part in parts]
    most_of = [percentile(part.waited, 0.95) for part in parts]
    most = max((one for one in most_of if one is not None), default=0.0) or 1.0
    bars = []
    for number, (part, middle, slow) in enumerate(zip(parts, half, most_of)):
        if middle is None or slow is None:
            bars.append(_bar(number, len(parts), [], ""))
            continue
        text = (
            f"{format_moment(part.at)[11:16]} UTC: half of them at most {_took(middle)}, 95 % {_took(slow)}"
        )
        shapes = [("wait", middle / most), ("slow", max(slow - middle, 0.0) / most)]
        bars.append(_bar(number, len(parts), shapes, text))
    return Chart("Time from due to begin", _summary(parts), _took(most), bars, format_moment(parts[0].at))


def _summary(parts: Sequence[Part]) -> str:
    together: Counter[int] = Counter()
    for part in parts:
        together.update(part.waited)
    middle, slow = percentile(together, 0.5), percentile(together, 0.95)
    return "no run" if middle is None or slow is None else f"half at most {_took(middle)}, 95 % {_took(slow)}"


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else format_duration(seconds)


def _bar(number: int, count: int, shares: Sequence[tuple[str, float]], text: str) -> Bar:
    """The one of this number; of what is not nothing something is seen."""
    width = WIDTH / count
    parts: list[tuple[str, float, float]] = []
    top = float(HEIGHT)
    for kind, share in shares:
        height = max(share * HEIGHT, 1.0) if share > 0 else 0.0
        if height:
            top = max(top - height, 0.0)
            parts.append((kind, round(top, 2), round(height, 2)))
    return Bar(round(width * (number + _GAP / 2), 2), round(width * (1 - _GAP), 2), parts, text)
