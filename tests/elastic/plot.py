"""Wanted and present processes over time as SVG. The colours are legible on light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 48, 56, 52, 40
GREY = "#808890"
FONT = f'font-family="sans-serif" font-size="12" fill="{GREY}"'
COLOURS = {"wanted": "#d97706", "present": "#2f7fd1", "waiting": GREY}
Point = tuple[float, float]
"""Seconds, value."""


def steps(
    title: str,
    series: dict[str, Sequence[Point]],
    waiting: Sequence[Point],
    marks: dict[str, float],
) -> str:
    """Lines that step from value to value, over the files that wait as an area with an axis of its
    own at the right. marks: label -> second of a vertical line."""
    last = max(at for points in (*series.values(), waiting) for at, _ in points)
    most = max(value for points in series.values() for _, value in points) or 1
    files = max((value for _, value in waiting), default=0) or 1
    plot = _Plot(last, most * 1.1, files * 1.1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {FONT} role="img">',
        f"<title>{escape(title)}</title>",
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
        f'<path d="{plot.area(waiting)}" fill="{GREY}" fill-opacity="0.18"/>',
        *plot.axes(most, files),
    ]
    for label, at in marks.items():
        x = plot.x(at)
        parts += [
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{GREY}" stroke-dasharray="2 4"/>',
            _label(label, x),
        ]
    for name, points in series.items():
        dashes = ' stroke-dasharray="5 4"' if name == "wanted" else ""
        parts.append(
            f'<path d="{plot.line(points)}" fill="none" stroke="{COLOURS[name]}" '
            f'stroke-width="2"{dashes}/>'
        )
    return "\n".join([*parts, *_legend(series), "</svg>"]) + "\n"


def _label(text: str, x: float) -> str:
    """At the side of a line on which there is more room."""
    side, anchor = (4, "start") if x < WIDTH / 2 else (-4, "end")
    return f'<text x="{x + side:.1f}" y="{TOP + 12}" text-anchor="{anchor}">{escape(text)}</text>'


class _Plot:
    def __init__(self, last: float, most: float, files: float) -> None:
        self._last, self._most, self._files = last or 1.0, most, files

    def x(self, at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * at / self._last

    def y(self, value: float, most: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most

    def line(self, points: Sequence[Point]) -> str:
        (at, value), *rest = _changes(points)
        made = [f"M{self.x(at):.1f} {self.y(value, self._most):.1f}"]
        made += [f"H{self.x(at):.1f}V{self.y(value, self._most):.1f}" for at, value in rest]
        return "".join(made)

    def area(self, points: Sequence[Point]) -> str:
        if not points:
            return ""
        every = max(1, len(points) // 200)
        made = "".join(f"L{self.x(a):.1f} {self.y(v, self._files):.1f}" for a, v in points[::every])
        floor = f"{self.y(0, 1):.1f}"
        return f"M{self.x(points[0][0]):.1f} {floor}{made}L{self.x(points[-1][0]):.1f} {floor}Z"

    def axes(self, most: float, files: float) -> list[str]:
        floor = self.y(0, 1)
        parts = [f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}" fill="none" stroke="{GREY}"/>']
        for value in range(0, round(most) + 1, max(1, round(most) // 4)):
            y = self.y(value, self._most) + 4
            parts.append(f'<text x="{LEFT - 8}" y="{y:.1f}" text-anchor="end">{value}</text>')
        y = self.y(files, self._files) + 4
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y:.1f}">{files:,.0f}</text>')
        step = next((s for s in (1, 5, 10, 20, 30, 60, 120) if self._last / s <= 12), 300)
        for at in range(0, int(self._last) + 1, step):
            x = f"{self.x(at):.1f}"
            parts.append(f'<text x="{x}" y="{floor + 16}" text-anchor="middle">{at} s</text>')
        return parts


def _changes(points: Sequence[Point]) -> list[Point]:
    """Without points that say nothing new; the last one stays."""
    kept = [points[0]]
    kept += [point for before, point in pairwise(points) if before[1] != point[1]]
    return [*kept, points[-1]]


def _legend(series: dict[str, Sequence[Point]]) -> list[str]:
    parts, x = [], LEFT
    for name in series:
        dashes = ' stroke-dasharray="5 4"' if name == "wanted" else ""
        parts += [
            f'<path d="M{x} 34H{x + 24}" stroke="{COLOURS[name]}" stroke-width="2"{dashes}/>',
            f'<text x="{x + 30}" y="38">processes {name}</text>',
        ]
        x += 160
    return [
        *parts,
        f'<rect x="{x}" y="28" width="24" height="12" fill="{GREY}" fill-opacity="0.18"/>',
        f'<text x="{x + 30}" y="38">unfinished files (right)</text>',
    ]
