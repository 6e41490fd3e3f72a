"""What is made of measured numbers: medians, spread, percentiles, ratios of turns of the same round."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from tests.bench.workload import Record


@dataclass(frozen=True)
class Spread:
    """The middle of some numbers and their extremes."""

    median: float
    least: float
    greatest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """None of nothing."""
        listed = sorted(values)
        return cls(statistics.median(listed), listed[0], listed[-1]) if listed else None


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that at least this share of all reach or stay under."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def spread_of(records: Iterable[Record], figure: str) -> Spread | None:
    """Of one figure over rounds; None if no turn has it."""
    return Spread.of(record.figures[figure] for record in records if figure in record.figures)


def ratios(ours: Iterable[Record], theirs: Iterable[Record], figure: str) -> Spread | None:
    """Ours ÷ theirs, each of the same round: what changes for both from round to round falls out."""
    by_round = {record.round: record.figures[figure] for record in ours if figure in record.figures}
    return Spread.of(
        by_round[record.round] / record.figures[figure]
        for record in theirs
        if record.round in by_round and record.figures.get(figure)
    )
