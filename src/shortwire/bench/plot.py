"""The curve as one SVG file: small panels, a line a subject, no library and no script.

Axes from zero, logarithmic where a saturated subject would flatten all others. A point of a noisy row is hollow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from xml.sax.saxutils import escape

from .rounds import Row

__all__ = ["Panel", "plot"]

_COLOURS = ("#0b6e4f", "#c1666b", "#4059ad", "#d68c00", "#6b4e9b", "#3a7d8c", "#888888")
_WIDE, _HIGH = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 18, 34, 40


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure over the number of calls."""

    title: str
    figure: str
    logarithmic: bool = False


PANELS = (
    Panel("Bridge delay uplink, p50 (µs)", "up_p50_us", logarithmic=True),
    Panel("Bridge delay uplink, p99 (µs)", "up_p99_us", logarithmic=True),
    Panel("CPU per relayed message (µs)", "cpu_us"),
    Panel("Memory per call (KiB)", "memory_kib"),
)


def plot(rows: Sequence[Row], title: str, note: str, mode: str = "echo") -> str:
    """The document. Rows of other modes are left out."""
    chosen = [row for row in rows if row.mode == mode]
    names = list(dict.fromkeys(row.subject for row in chosen))
    calls = sorted({row.calls for row in chosen})
    wide, high = 2 * _WIDE, 2 * _HIGH + 92
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" font-family="system-ui, sans-serif" '
        'font-size="12" fill="#222">',
        f'<rect width="{wide}" height="{high}" fill="#fff"/>',
        f'<text x="16" y="24" font-size="16" font-weight="600">{escape(title)}</text>',
        f'<text x="16" y="42" fill="#666">{escape(note)}</text>',
    ]
    for index, name in enumerate(names):
        x = 16 + index * (wide - 32) / max(1, len(names))
        parts.append(f'<rect x="{x:.0f}" y="54" width="12" height="12" fill="{_COLOURS[index % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 18:.0f}" y="64">{escape(name)}</text>')
    for index, panel in enumerate(PANELS):
        at = (index % 2 * _WIDE, 76 + index // 2 * _HIGH)
        parts += _panel(panel, chosen, names, calls, at)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _panel(
    panel: Panel, rows: Sequence[Row], names: Sequence[str], calls: Sequence[int], at: tuple[int, int]
) -> list[str]:
    known = [value for row in rows if (value := row.values.get(panel.figure)) is not None and value > 0]
    parts = [f'<g transform="translate({at[0]},{at[1]})">', f'<text x="{_LEFT}" y="20" font-weight="600">']
    parts[-1] += f"{escape(panel.title)}</text>"
    if not known or not calls:
        return [*parts, f'<text x="{_LEFT}" y="60" fill="#666">not known here</text></g>']
    low, high, ticks = _scale(known, logarithmic=panel.logarithmic)
    for tick in ticks:
        y = _y(tick, low, high, logarithmic=panel.logarithmic)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDE - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#e4e4e4"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#666">{_number(tick)}</text>')
    for count in calls:
        x = _x(count, calls)
        parts.append(
            f'<text x="{x:.1f}" y="{_HIGH - _BOTTOM + 18}" text-anchor="middle" fill="#666">{count} calls</text>'
        )
    for index, name in enumerate(names):
        points = []
        for row in sorted((r for r in rows if r.subject == name), key=lambda r: r.calls):
            value = row.values.get(panel.figure)
            if value is not None and value > 0:
                y = _y(value, low, high, logarithmic=panel.logarithmic)
                points.append((_x(row.calls, calls), y, row.noisy or bool(row.problems)))
        parts += _line(points, _COLOURS[index % len(_COLOURS)])
    return [*parts, "</g>"]


def _line(points: Sequence[tuple[float, float, bool]], colour: str) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>']
    for x, y, hollow in points:
        fill = "#fff" if hollow else colour
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>')
    return parts


def _scale(values: Sequence[float], *, logarithmic: bool) -> tuple[float, float, list[float]]:
    """Lowest and highest of the axis, and where the lines go."""
    if logarithmic:
        low, high = floor(log10(min(values))), ceil(log10(max(values)))
        high = max(high, low + 1)
        ticks = [factor * 10.0**power for power in range(low, high) for factor in (1, 3)] + [10.0**high]
        return 10.0**low, 10.0**high, ticks
    step = 10.0 ** floor(log10(max(values)))
    for factor in (0.2, 0.5, 1.0, 2.0):
        if max(values) / (step * factor) <= 6:
            step *= factor
            break
    count = ceil(max(values) / step)
    return 0.0, step * count, [step * number for number in range(count + 1)]


def _x(count: int, calls: Sequence[int]) -> float:
    span = calls[-1] - calls[0]
    share = (count - calls[0]) / span if span else 0.5
    return _LEFT + 24 + share * (_WIDE - _LEFT - _RIGHT - 48)


def _y(value: float, low: float, high: float, *, logarithmic: bool) -> float:
    share = (log10(value) - log10(low)) / (log10(high) - log10(low)) if logarithmic else (value - low) / (high - low)
    return _HIGH - _BOTTOM - share * (_HIGH - _TOP - _BOTTOM)


def _number(value: float) -> str:
    if value >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.6g}"
