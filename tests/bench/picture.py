"""Bars on a logarithmic scale as SVG, with a ground of its own: readable on a light page and on a dark one."""

import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from tests.bench.figures import spread_of
from tests.bench.workload import Record

OURS = "farm"
WIDTH, LEFT, RIGHT = 860, 210, 90
BAR, GAP, TITLE, PANEL_GAP, MARGIN = 16, 8, 34, 22, 16
FOOTER_CHARACTERS, FOOTER_LINE = 130, 16

STYLE = """
  .ground { fill: #ffffff }
  text { font: 13px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600; font-size: 14px; fill: #1f2328 }
  .footer { font-size: 11px }
  .ours text { font-weight: 700; fill: #1f2328 }
  .bar { fill: #8c959f }
  .pale { fill-opacity: 0.35 }
  .ours .bar { fill: #1a7f37 }
  .grid { stroke: #8c959f; stroke-opacity: 0.3 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 }
    text { fill: #9ea7b3 }
    .title, .ours text { fill: #f0f3f6 }
    .bar { fill: #7a828e }
    .ours .bar { fill: #3fb950 }
  }
"""


@dataclass(frozen=True)
class Bar:
    """One system."""

    label: str
    value: float
    pale: float = 0.0
    """A second value behind the first; 0 if there is none."""

    @property
    def ours(self) -> bool:
        """Whether it is to stand out."""
        return self.label.startswith(OURS)


@dataclass(frozen=True)
class Panel:
    """One question, with an answer for each system."""

    title: str
    bars: tuple[Bar, ...]


def panel(title: str, records: Iterable[Record], figure: str, *, pale: str, greatest_first: bool) -> Panel:
    """Medians of each system; `pale` is the mode that is drawn behind."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.system, []).append(record)
    bars = []
    for system, group in groups.items():
        value = spread_of((record for record in group if record.mode != pale), figure)
        behind = spread_of((record for record in group if record.mode == pale), figure)
        if value is not None:
            bars.append(Bar(system, value.median, behind.median if behind else 0.0))
    return Panel(title, tuple(sorted(bars, key=lambda bar: bar.value, reverse=greatest_first)))


def draw(panels: Sequence[Panel], footer: str = "") -> str:
    """The picture, panels below each other; at the end some small text."""
    parts: list[str] = []
    top = MARGIN
    for each in panels:
        parts.append(f'<g transform="translate({MARGIN} {top})">\n{_panel(each)}\n</g>')
        top += _height(each) + PANEL_GAP
    for line in textwrap.wrap(footer, FOOTER_CHARACTERS):
        parts.append(f'<text class="footer" x="{MARGIN}" y="{top}">{escape(line)}</text>')
        top += FOOTER_LINE
    width, height = WIDTH + 2 * MARGIN, top
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ground = f'<rect class="ground" width="{width}" height="{height}" rx="8"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<style>{STYLE}</style>\n{ground}\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def scale(values: Iterable[float]) -> tuple[int, int]:
    """The powers of ten between which all values lie."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return low, max(high, low + 1)


def amount(value: float) -> str:
    """Three digits that count."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1 else f"{value:.2f}"


def _panel(shown: Panel) -> str:
    low, high = scale([value for bar in shown.bars for value in (bar.value, bar.pale)])
    bottom = TITLE + len(shown.bars) * (BAR + GAP)
    lines = [f'<text class="title" x="0" y="16">{escape(shown.title)}</text>']
    for power in range(low, high + 1):
        x = _x(10.0**power, low, high)
        lines.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TITLE - 6}" y2="{bottom}"/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{10.0**power:,g}</text>')
    for number, bar in enumerate(shown.bars):
        lines.append(_bar(bar, TITLE + number * (BAR + GAP), low, high))
    return "\n".join(lines)


def _bar(bar: Bar, y: int, low: int, high: int) -> str:
    baseline = y + BAR - 4
    front, behind = _x(bar.value, low, high), _x(bar.pale, low, high) if bar.pale else 0.0
    said = amount(bar.value) + (f" · {amount(bar.pale)}" if bar.pale else "")
    pale = f'<rect class="bar pale" x="{LEFT}" y="{y}" width="{behind - LEFT:.1f}" height="{BAR}"/>' if behind else ""
    return (
        f'<g class="{"ours" if bar.ours else "other"}">'
        f'<text x="{LEFT - 8}" y="{baseline}" text-anchor="end">{escape(bar.label)}</text>{pale}'
        f'<rect class="bar" x="{LEFT}" y="{y}" width="{front - LEFT:.1f}" height="{BAR}"/>'
        f'<text x="{max(front, behind) + 6:.1f}" y="{baseline}">{said}</text></g>'
    )


def _x(value: float, low: int, high: int) -> float:
    share = (math.log10(value) - low) / (high - low)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _height(shown: Panel) -> int:
    return TITLE + len(shown.bars) * (BAR + GAP) + 22
