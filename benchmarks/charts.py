"""Charts of the tables as SVG, drawn without a library: bars of rates, lines of what grows with the queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.measure import Table

_WIDTH, _LABELS, _ROW = 720, 250, 26
_INK, _OURS, _OTHERS = "#444", "#2563eb", "#b6bcc6"
_COLOURS = ("#2563eb", "#d97706", "#059669", "#9333ea", "#dc2626")
_LEFT, _TOP, _TALL = 70, 40, 260


def bars(table: Table, column: int, unit: str) -> str:
    """One bar a row, as long as its figure in this column; those of queuectl stand out."""
    values = [float(row[column]) for row in table.rows]
    room = _WIDTH - _LABELS - 90
    drawn: list[str] = []
    for number, (row, value) in enumerate(zip(table.rows, values)):
        top, name = 34 + number * _ROW, str(row[0])
        length = max(1.0, value / max(values) * room)
        colour = _OURS if name.lower().startswith("queue") else _OTHERS
        drawn += [
            _text(_LABELS - 8, top + 14, name, "end"),
            f'<rect x="{_LABELS}" y="{top}" width="{length:.1f}" height="{_ROW - 8}" fill="{colour}"/>',
            _text(_LABELS + length + 6, top + 14, f"{value:,.0f} {unit}"),
        ]
    return _svg(34 + len(values) * _ROW + 8, [_text(8, 18, table.title, weight="bold"), *drawn])


def lines(table: Table, columns: Sequence[int], unit: str) -> str:
    """One line a column over the first one, both axes logarithmic."""
    sizes = [float(str(row[0]).replace(",", "")) for row in table.rows]
    values = [[float(row[column]) for row in table.rows] for column in columns]
    low = math.floor(math.log10(min(map(min, values))))
    high = math.ceil(math.log10(max(map(max, values))))
    wide = _WIDTH - _LEFT - 120

    def x(size: float) -> float:
        return _LEFT + math.log10(size / sizes[0]) / max(math.log10(sizes[-1] / sizes[0]), 1e-9) * wide

    def y(value: float) -> float:
        return _TOP + (high - math.log10(value)) / max(high - low, 1) * _TALL

    drawn = [_text(8, 18, table.title, weight="bold")]
    for power in range(low, high + 1):
        level = y(10.0**power)
        drawn.append(f'<path d="M{_LEFT} {level:.1f}h{wide}" stroke="#ddd"/>')
        drawn.append(_text(_LEFT - 6, level + 4, f"{10.0**power:g} {unit}", "end"))
    drawn += [_text(x(size), _TOP + _TALL + 18, f"{size:,.0f}", "middle") for size in sizes]
    for colour, column, series in zip(_COLOURS, columns, values):
        points = " ".join(f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, series))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        drawn.append(_text(x(sizes[-1]) + 6, y(series[-1]) + 4, table.headings[column], colour=colour))
    return _svg(_TOP + _TALL + 30, drawn)


def _text(
    x: float, y: float, text: str, anchor: str = "start", *, weight: str = "normal", colour: str = _INK
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{colour}">'
        f"{escape(text)}</text>"
    )


def _svg(height: float, drawn: Sequence[str]) -> str:
    body = "\n".join(drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" '
        f'font-family="sans-serif" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )
