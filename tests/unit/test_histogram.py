"""Percentiles from histograms are near the true ones, whatever the values are like, and histograms can be added."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.histogram import bucket_of, percentile, value_of

PRECISION = 0.045
VALUES = st.lists(st.floats(1e-6, 1e12), min_size=1, max_size=200)


def true_percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@given(VALUES, st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_within_four_and_a_half_percent_of_the_true_one(values: list[float], share: float) -> None:
    found = percentile(Counter(map(bucket_of, values)), share)

    # A float times the number of values may be just above a whole number: then it is the next value.
    candidates = {true_percentile(values, share), true_percentile(values, min(1.0, share + 1e-9))}
    assert any(abs(found / value - 1) <= PRECISION for value in candidates)


@pytest.mark.parametrize(
    "draw",
    [
        lambda source: source.expovariate(10),
        lambda source: source.lognormvariate(0, 2),
        lambda source: source.paretovariate(1.1),
        lambda source: source.choice([0.01, 0.01, 0.01, 5.0]),
        lambda _: 0.1,
    ],
    ids=["exponential", "lognormal", "heavy tail", "two kinds", "constant"],
)
def test_known_distributions(draw) -> None:  # type: ignore[no-untyped-def]
    source = random.Random(4)
    values = [draw(source) for _ in range(5000)]

    assert percentile(Counter(map(bucket_of, values)), 0.95) == pytest.approx(true_percentile(values, 0.95), rel=0.05)


@given(VALUES, VALUES)
def test_histograms_of_two_hosts_add_up_to_that_of_all_values(one: list[float], other: list[float]) -> None:
    merged = Counter(map(bucket_of, one)) + Counter(map(bucket_of, other))

    assert percentile(merged, 0.95) == percentile(Counter(map(bucket_of, one + other)), 0.95)


def test_nothing_is_a_value_too() -> None:
    assert value_of(bucket_of(0.0)) == 0.0
    assert percentile(Counter(map(bucket_of, [0.0] * 99 + [8.0])), 0.95) == 0.0
    assert percentile({}, 0.95) == 0.0
