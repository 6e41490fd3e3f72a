"""Runs all scenarios with all policies, prints a table, and writes it and the picture into docs/.

usage: python -m tests.simulation [--publish]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulation.farm import Farm
from tests.simulation.picture import Panel, draw
from tests.simulation.results import Results, mean, results
from tests.simulation.scenarios import POLICIES, SCENARIOS

DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "placement.md", DOCS / "placement.svg"
BEGIN, END = "<!-- numbers of `make simulate` -->", "<!-- end of the numbers -->"
HEADER = (
    "| | time lost, mean | 95 of 100 lost less | over the threshold | most wanted | CPUs used | spread |\n"
    "|---|---:|---:|---:|---:|---:|---:|"
)
THRESHOLD = 0.75
SEEDS = range(1, 11)
"""Each scenario is run with so many draws of its arrivals: what one of them comes to is chance."""


def main(arguments: Sequence[str]) -> int:
    """Returns the exit status."""
    parts: list[str] = []
    for scenario in SCENARIOS:
        runs = [[scenario.run(make(), seed=seed) for seed in SEEDS] for make in POLICIES]
        rows = [_row(mean([results(farm, *scenario.busy, THRESHOLD) for farm in draws])) for draws in runs]
        parts.append("\n".join([f"**{scenario.name}**: {scenario.description}", "", HEADER, *rows]))
        if scenario is SCENARIOS[0] and "--publish" in arguments:
            PICTURE.write_text(_picture(f"{scenario.name}: {scenario.description}", [draws[0] for draws in runs]))
    text = "\n\n".join(parts)
    print(text)
    if "--publish" in arguments:
        PAGE.write_text(with_numbers(PAGE.read_text(), text))
    return 0


def with_numbers(page: str, numbers: str) -> str:
    """The page with these numbers between its markers. Raises ValueError if it has none."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{numbers}\n\n{END}{after}"


def _row(each: Results) -> str:
    return (
        f"| {each.policy} | {each.mean_lost:.2f} s | {each.p95_lost:.2f} s | {each.overshoot:.1%} | {each.worst:.2f}"
        f" | {each.utilisation:.1%} | {each.spread:.2f} |"
    )


def _picture(title: str, runs: Sequence[Farm]) -> str:
    panels = [Panel(farm.policy.name, list(farm.trace.demand.values()), is_ours=farm is runs[0]) for farm in runs]
    return draw(title, panels, THRESHOLD)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
