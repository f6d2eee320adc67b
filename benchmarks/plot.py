"""Draws bar charts as SVG, without fonts and without a library. Equal figures result in equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 210, 110, 26, 44
FONT = 'font-family="sans-serif" font-size="13" fill="#1a202c"'
COLOURS = {"ours": "#2b6cb0", "reference": "#a0aec0"}
Bar = tuple[str, float, str]
"""(label, value, series); the series is "ours" or "reference"."""


def bars(title: str, found: Sequence[Bar], unit: str) -> str:
    """Return an SVG with horizontal bars that start at zero. Each bar is labelled with its value and
    `unit`."""
    limit = max((value for _, value, _ in found), default=0) or 1
    height = TOP + ROW * len(found) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {FONT} role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (label, value, series) in enumerate(found):
        y, length = TOP + ROW * number, max((WIDTH - LEFT - RIGHT) * value / limit, 1)
        parts += [
            f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="18" fill="{COLOURS[series]}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{y + 14}">{_label(value)} {escape(unit)}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
