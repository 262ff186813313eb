"""Throughput and waiting time over the last hour or day, as shapes that a template draws."""

from __future__ import annotations

from typing import NamedTuple, Optional

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
    end: str


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
    return Charts([])
