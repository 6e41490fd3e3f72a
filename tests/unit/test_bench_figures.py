"""The benchmark's numbers: medians, spread, percentiles, and ratios of turns of the same round."""

import pytest

from tests.bench.figures import Spread, percentile, ratios, spread_of
from tests.bench.workload import Record


def records(system: str, **rates: float) -> list[Record]:
    """A turn of the workload `drain` for each round, `r1=100.0`."""
    return [Record("drain", system, "default", int(name[1:]), {"rate": rate}) for name, rate in rates.items()]


def test_a_spread_is_the_middle_and_the_extremes() -> None:
    assert Spread.of([3.0, 1.0, 9.0, 4.0]) == Spread(3.5, 1.0, 9.0)


def test_there_is_no_spread_of_nothing() -> None:
    assert Spread.of([]) is None
    assert spread_of(records("huey", r1=1.0), "memory") is None


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_percentile_is_one_of_the_values(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], share) == value


def test_the_percentile_of_few_values_is_their_greatest() -> None:
    assert percentile([2.0, 7.0], 0.99) == 7.0


def test_ratios_pair_turns_of_the_same_round() -> None:
    ours, theirs = records("farm", r1=100.0, r2=50.0, r3=80.0), records("huey", r3=20.0, r1=50.0, r2=25.0)

    assert ratios(ours, theirs, "rate") == Spread(2.0, 2.0, 4.0)


def test_a_round_in_which_one_failed_has_no_ratio() -> None:
    failed = Record("drain", "huey", "default", 2, error="it ended")

    assert ratios(records("farm", r1=100.0, r2=50.0), [*records("huey", r1=50.0), failed], "rate") == Spread(2, 2, 2)
    assert ratios(records("farm", r1=100.0), records("huey", r2=50.0), "rate") is None
    assert ratios(records("farm", r1=100.0), records("huey", r1=0.0), "rate") is None
