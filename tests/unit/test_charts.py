"""Charts: shapes that stay within the drawing, and what they say in words."""

from __future__ import annotations

from queuectl.index.runs import Part
from queuectl.measures import bound_of
from queuectl.web import charts

START = 1_800_000_000.0


class Numbers:
    def __init__(self, parts: list[Part]) -> None:
        self.parts, self.numbers = parts, self

    def lately(self, seconds: float, step: float) -> list[Part]:
        return self.parts


def drawn(*parts: tuple[int, int, dict[float, int]]) -> charts.Charts:
    made = [
        Part(
            START + 60 * n,
            runs - failed,
            0,
            runs,
            failed,
            {bound_of(s): count for s, count in waits.items()},
            {},
        )
        for n, (runs, failed, waits) in enumerate(parts)
    ]
    return charts.of_queue(Numbers(made), charts.SPANS[0])  # type: ignore[arg-type]


def test_runs_are_drawn_from_the_bottom_up() -> None:
    runs, _ = drawn((10, 0, {}), (5, 5, {}), (0, 0, {})).all
    assert runs.top == "10 in 1 min" and "15 ended, 5 failed" in runs.summary
    assert runs.bars[0].parts == [("good", 0.0, 120.0)]
    assert runs.bars[1].parts == [("bad", 60.0, 60.0)]
    assert runs.bars[2].parts == []
    assert "10 runs, 0 failed" in runs.bars[0].text


def test_what_is_not_nothing_is_seen() -> None:
    runs, _ = drawn((100_000, 1, {}), (1, 0, {})).all
    for bar in runs.bars:
        for _, top, height in bar.parts:
            assert height >= 1 and top >= 0 and top + height <= charts.HEIGHT + 1


def test_waiting_times_are_told_by_half_and_by_most() -> None:
    _, waits = drawn((20, 0, {0.005: 19, 60.0: 1}), (0, 0, {})).all
    assert waits.summary.startswith("half at most 3 ms, 95 % ")
    assert waits.bars[1].parts == []


def test_of_nothing_there_is_a_chart_too() -> None:
    runs, waits = drawn((0, 0, {})).all
    assert runs.summary.startswith("0 ended") and waits.summary == "no run"
    assert [bar.parts for bar in (*runs.bars, *waits.bars)] == [[], []]
