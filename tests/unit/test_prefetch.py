"""How many jobs may wait at a host follows from how long jobs take."""

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.prefetch import LEAST_UNHEARD_SECONDS, MAX_DEPTH, WAITING_SECONDS, Durations, depth, prefetch, unheard

seconds = some.floats(min_value=0, max_value=10_000)


def test_nothing_waits_before_anything_is_known() -> None:
    assert depth(Durations().expected(0.0)) == 1
    assert prefetch(None, 4) == 0


def test_nothing_waits_behind_long_jobs_and_many_wait_behind_short_ones() -> None:
    assert depth(1.0) == 1
    assert depth(0.00001) == MAX_DEPTH


@given(seconds, some.integers(min_value=0, max_value=64))
def test_what_waits_is_never_more_than_the_work_allowed(expected: float, processes: int) -> None:
    waiting = prefetch(expected, processes)
    assert waiting >= 0
    assert waiting * expected <= WAITING_SECONDS * processes


@given(some.lists(seconds, min_size=1, max_size=50))
def test_the_estimate_stays_within_what_was_seen(observed: list[float]) -> None:
    durations = Durations()
    for each in observed:
        durations.observe("default", each, 0.0)
    expected = durations.expected(1.0)
    assert expected is not None
    assert min(observed) - 1e-9 <= expected <= max(observed) + 1e-9


def test_a_long_job_counts_at_once_and_is_forgotten_slowly() -> None:
    durations = Durations()
    for _ in range(100):
        durations.observe("default", 0.0001, 0.0)
    durations.observe("default", 1.0, 0.0)
    assert depth(durations.expected(0.0)) == 1
    for _ in range(5):
        durations.observe("default", 0.0001, 0.0)
    assert depth(durations.expected(0.0)) == 1
    for _ in range(100):
        durations.observe("default", 0.0001, 0.0)
    assert depth(durations.expected(0.0)) > 10


def test_a_job_that_still_runs_counts_too() -> None:
    durations = Durations()
    durations.observe("default", 0.0001, 0.0)
    durations.observe_running("default", 0.3, 0.0)
    assert depth(durations.expected(0.0)) == 1


def test_the_slowest_queue_seen_lately_decides() -> None:
    durations = Durations()
    durations.observe("slow", 1.0, 0.0)
    durations.observe("quick", 0.0001, 5.0)
    assert depth(durations.expected(5.0)) == 1
    durations.observe("quick", 0.0001, 20.0)
    assert depth(durations.expected(20.0)) > 10


@given(seconds)
def test_a_process_is_heard_before_half_of_its_work_is_done_or_within_milliseconds(expected: float) -> None:
    assert LEAST_UNHEARD_SECONDS <= unheard(expected) <= max(LEAST_UNHEARD_SECONDS, WAITING_SECONDS / 4)


def test_short_jobs_are_heard_of_sooner_than_those_that_give_the_host_time() -> None:
    assert unheard(None) == unheard(0.00001) == LEAST_UNHEARD_SECONDS
    assert unheard(0.005) > 2 * LEAST_UNHEARD_SECONDS
