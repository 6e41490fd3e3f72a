"""What the observations say: where a host really crosses a line, beside what was predicted. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

TOLERANCE = 0.15
_NAMES = {"cpu": "CPU", "memory": "memory"}
QUIET = 0.15
"""The share of the CPUs that others may use in a round that counts."""


@dataclass(frozen=True)
class Step:
    """A host with so many processes and more jobs than it can run, for a while."""

    processes: int
    use: float
    """The share of what binds, 0 to 1, that the host used."""
    per_second: float
    """Jobs that ended."""
    others: float
    """The share of the CPUs that others used."""
    full: float
    """The share of the time in which the host was full."""


@dataclass(frozen=True)
class Round:
    """One prediction and the steps that followed it."""

    binding: str
    fits: float
    """Jobs at once, predicted, as a fraction."""
    per_second: float
    """Predicted for as many."""
    answer: int
    answer_per_second: float
    line: float
    """The threshold."""
    steps: Sequence[Step] = field(default_factory=list)
    drift: float = 1.0
    """What was predicted after the steps, divided by what was before them."""

    @property
    def sustained(self) -> float:
        """Jobs at once at which the host's use is at the line."""
        return crossing([(step.use, step.processes) for step in self.steps], self.line)

    @property
    def sustained_per_second(self) -> float:
        """Jobs a second at the line."""
        return crossing([(step.use, step.per_second) for step in self.steps], self.line)

    @property
    def at_answer(self) -> Step:
        """The host as it was advised."""
        return next(step for step in self.steps if step.processes == self.answer)

    @property
    def others(self) -> float:
        """The most that others used in a step."""
        return max(step.others for step in self.steps)

    @property
    def counts(self) -> bool:
        """Whether neighbours left it alone: what they use of CPUs, if these bind, and do to their speed, was small."""
        return (self.binding != "cpu" or self.others <= QUIET) and abs(self.drift - 1) <= TOLERANCE


def crossing(points: Sequence[tuple[float, float]], at: float) -> float:
    """The straight line through the points (least squares), at `at`. Raises ValueError without two distinct ones."""
    mean_x = sum(x for x, _ in points) / max(len(points), 1)
    mean_y = sum(y for _, y in points) / max(len(points), 1)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    if spread == 0:
        raise ValueError(f"no line goes through {points}")
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    return mean_y + slope * (at - mean_x)


@dataclass(frozen=True)
class Comparison:
    """One number, predicted and observed, over all rounds."""

    name: str
    predicted: Sequence[float]
    observed: Sequence[float]

    @property
    def ratios(self) -> list[float]:
        """Observed by predicted, round by round."""
        return [seen / said for said, seen in zip(self.predicted, self.observed, strict=True)]

    @property
    def ratio(self) -> float:
        """The median."""
        return median(self.ratios)

    @property
    def holds(self) -> bool:
        """Whether that is near enough."""
        return abs(self.ratio - 1) <= TOLERANCE


def comparisons(rounds: Sequence[Round]) -> list[Comparison]:
    """What has to agree."""
    return [
        Comparison("jobs at once at the threshold", [r.fits for r in rounds], [r.sustained for r in rounds]),
        Comparison(
            "jobs per second at the threshold",
            [r.per_second for r in rounds],
            [r.sustained_per_second for r in rounds],
        ),
        Comparison(
            "jobs per second with --processes as advised",
            [r.answer_per_second for r in rounds],
            [r.at_answer.per_second for r in rounds],
        ),
    ]


def text(name: str, rounds: Sequence[Round], discarded: int) -> str:
    """A table for one function, as it stands in docs/capacity.md."""
    first = rounds[0]
    more = f"; {discarded} more were discarded, as others used the CPUs or changed their speed" if discarded else ""
    rounds_told = "1 round" if len(rounds) == 1 else f"{len(rounds)} rounds"
    lines = [
        f"**{name}** (the {_NAMES[first.binding]} binds), {rounds_told}{more}",
        "",
        "| | predicted | observed | observed ÷ predicted, and each round | |",
        "|---|---:|---:|---|---|",
    ]
    for each in comparisons(rounds):
        spread = ", ".join(f"{ratio:.2f}" for ratio in each.ratios)
        verdict = "agrees" if each.holds else "**differs**"
        lines.append(
            f"| {each.name} | {median(each.predicted):.2f} | {median(each.observed):.2f} "
            f"| {each.ratio:.2f} ({spread}) | {verdict} |"
        )
    used = ", ".join(f"{r.at_answer.use:.2f}" for r in rounds)
    full = ", ".join(f"{r.at_answer.full:.0%}" for r in rounds)
    others = ", ".join(f"{r.others:.0%}" for r in rounds)
    answers = ", ".join(str(r.answer) for r in rounds)
    lines += [
        "",
        f"Advised: `--processes` {answers}. With that the host used {used} of the {_NAMES[first.binding]} (the "
        f"threshold is {first.line:g}) and was full for {full} of the time; others used up to {others} of the CPUs.",
    ]
    return "\n".join(lines)
