import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm_worker.load.smoothing import Rate


def test_nothing_is_known_before_the_first_step():
    rate = Rate()
    assert rate.mean is None
    assert rate.last is None


def test_the_mean_weighs_steps_by_the_time_that_they_really_took():
    rate = Rate()
    rate.add(0.5, 0.5, 2, now=0.5)
    rate.add(0.0, 1.5, 2, now=2.0)
    assert rate.mean == pytest.approx(0.25)
    assert rate.last == 0.0


def test_steps_older_than_the_window_no_longer_count():
    rate = Rate()
    for step in range(5):
        rate.add(1.0, 0.5, 2, now=step / 2)
    for step in range(5):
        rate.add(0.0, 0.5, 2, now=step / 2)
    assert rate.mean == 0.0


def test_a_step_longer_than_the_window_counts_whole():
    rate = Rate()
    rate.add(1.0, 0.5, 2, now=0)
    rate.add(30.0, 60.0, 2, now=60)
    assert rate.mean == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("growth", "seconds"), [(-0.1, 0.5), (0.1, 0.0), (0.1, -1.0), (1.51, 0.5), (math.nan, 0.5), (math.inf, 0.5)]
)
def test_an_impossible_step_is_refused_and_changes_nothing(growth, seconds):
    rate = Rate()
    assert rate.add(0.5, 0.5, 2, now=0)
    assert not rate.add(growth, seconds, 2, now=1)
    assert rate.mean == 1.0
    assert rate.refused_since == 1


def test_a_good_step_ends_a_row_of_refused_ones():
    rate = Rate()
    rate.add(-1, 1, 1, now=1)
    rate.add(-1, 1, 1, now=2)
    assert rate.refused_since == 1
    rate.add(1, 1, 1, now=3)
    assert rate.refused_since is None


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-10, 100), st.floats(-1, 10)), max_size=50), st.floats(0.1, 64))
def test_the_mean_is_always_a_possible_rate(steps, capacity):
    rate = Rate()
    for number, (growth, seconds) in enumerate(steps):
        rate.add(growth, seconds, capacity, now=float(number))
    assert rate.mean is None or 0 <= rate.mean <= 1.5 * capacity * (1 + 1e-9)
