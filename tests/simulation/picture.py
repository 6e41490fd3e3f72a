"""The loads of hosts over time, one panel for each policy, as SVG with a ground of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, TOP, GAP, MARGIN = 400, 150, 40, 34, 30, 16
MOST = 1.25
"""Load at the upper edge."""

STYLE = """
  .ground { fill: #ffffff }
  text { font: 12px system-ui, sans-serif; fill: #57606a }
  .title { font-weight: 600; font-size: 14px; fill: #1f2328 }
  .load { fill: none; stroke: #57606a; stroke-opacity: 0.65; stroke-width: 1.2 }
  .ours .load { stroke: #1a7f37 }
  .grid { stroke: #8c959f; stroke-opacity: 0.3 }
  .threshold { stroke: #cf222e; stroke-dasharray: 5 4 }
  @media (prefers-color-scheme: dark) {
    .ground { fill: #0d1117 }
    text { fill: #9ea7b3 }
    .title { fill: #f0f3f6 }
    .load { stroke: #9ea7b3 }
    .ours .load { stroke: #3fb950 }
    .threshold { stroke: #f85149 }
  }
"""


@dataclass(frozen=True)
class Panel:
    """One policy."""

    title: str
    loads: Sequence[Sequence[float]]
    """Of each machine, one for each second."""
    is_ours: bool


def draw(title: str, panels: Sequence[Panel], threshold: float) -> str:
    """Two panels beside each other, and so on below."""
    parts = [f'<text class="title" x="{MARGIN}" y="{MARGIN + 10}">{escape(title)}</text>']
    for number, panel in enumerate(panels):
        x = MARGIN + (number % 2) * (WIDTH + LEFT + GAP)
        y = MARGIN + 20 + (number // 2) * (HEIGHT + TOP + GAP)
        name = "ours" if panel.is_ours else "other"
        parts.append(f'<g class="{name}" transform="translate({x} {y})">\n{_panel(panel, threshold)}\n</g>')
    width = 2 * (WIDTH + LEFT) + GAP + 2 * MARGIN
    height = 2 * MARGIN + 20 + (len(panels) + 1) // 2 * (HEIGHT + TOP + GAP)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    ground = f'<rect class="ground" width="{width}" height="{height}" rx="8"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    return "\n".join([head, f"<style>{STYLE}</style>", ground, *parts, "</svg>\n"])


def _panel(panel: Panel, threshold: float) -> str:
    seconds = max(len(row) for row in panel.loads)
    lines = [f'<text class="title" x="{LEFT}" y="18">{escape(panel.title)}</text>']
    for load in (0.0, 0.5, 1.0):
        y = _y(load)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{load:g}</text>')
    y = _y(threshold)
    lines.append(f'<line class="threshold" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    for row in panel.loads:
        points = " ".join(f"{LEFT + at * WIDTH / (seconds - 1):.1f},{_y(load):.1f}" for at, load in enumerate(row))
        lines.append(f'<polyline class="load" points="{points}"/>')
    for at in range(0, seconds, 5):
        x = LEFT + at * WIDTH / (seconds - 1)
        lines.append(f'<text x="{x:.1f}" y="{TOP + HEIGHT + 16}" text-anchor="middle">{at} s</text>')
    return "\n".join(lines)


def _y(load: float) -> float:
    return TOP + HEIGHT * (1 - min(load, MOST) / MOST)
