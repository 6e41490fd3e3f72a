"""How many jobs may wait at a host follows from how long jobs take."""

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.prefetch import FRAME_SECONDS, MAX_DEPTH, RECALL_SECONDS, SOLE_FRAME_SECONDS, depth, is_long, prefetch

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
    assert waiting * expected <= 2 * FRAME_SECONDS * processes, "in frames and in the inbox"
    assert prefetch(expected, processes, is_sole=True) * expected <= SOLE_FRAME_SECONDS * processes


@given(seconds)
def test_a_process_of_a_sole_host_holds_more_of_short_jobs_and_nothing_behind_long_ones(expected: float) -> None:
    assert depth(expected, is_sole=True) >= depth(expected)
    assert (depth(expected, is_sole=True) == 1) == is_long(expected)
    assert (depth(expected) == 1) == is_long(expected)


def test_of_very_short_jobs_those_that_ended_and_were_not_told_leave_room_for_as_many_that_run() -> None:
    assert prefetch(0.00001, 2, is_sole=True) == prefetch(0.00001, 2) == 2 * 2 * (MAX_DEPTH - 1)


def test_what_a_process_holds_begins_before_it_is_recalled() -> None:
    assert max(FRAME_SECONDS, SOLE_FRAME_SECONDS) < RECALL_SECONDS


def test_long_is_what_nothing_may_wait_behind() -> None:
    assert prefetch(1.0, 1) == 0
    assert is_long(1.0)
    assert not is_long(0.005)
    assert not is_long(None)
