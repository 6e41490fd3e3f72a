"""How many jobs may wait at a host follows from how long jobs take."""

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.prefetch import MAX_DEPTH, WAITING_SECONDS, depth, is_long, prefetch

seconds = some.floats(min_value=0, max_value=10_000)


def test_nothing_waits_before_anything_is_known() -> None:
    assert depth(None) == 1
    assert prefetch(None, 4) == 0


def test_nothing_waits_behind_long_jobs_and_many_wait_behind_short_ones() -> None:
    assert depth(1.0) == 1
    assert depth(0.00001) == MAX_DEPTH


@given(seconds, some.integers(min_value=0, max_value=64))
def test_what_waits_is_never_more_than_the_work_allowed(expected: float, processes: int) -> None:
    waiting = prefetch(expected, processes)
    assert waiting >= 0
    assert waiting * expected <= WAITING_SECONDS * processes


def test_long_is_what_nothing_may_wait_behind() -> None:
    assert prefetch(1.0, 1) == 0
    assert is_long(1.0)
    assert not is_long(0.005)
    assert not is_long(None)
