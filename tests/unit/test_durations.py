"""What a host learns of how long jobs take."""

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.durations import LATEST, MOST_KEPT, Duration, Durations

SHORT, LONG = 0.0001, 1.0
seconds = some.floats(min_value=0, max_value=10_000)


def observe(
    durations: Durations, count: int, taken: float, function: bytes = b"shop.bill", queue: str = "default"
) -> None:
    for _ in range(count):
        durations.observe("default", function, taken, 0.0)


def test_nothing_is_expected_before_anything_was_seen() -> None:
    assert Durations().expected(0.0) is None
    assert Durations().of("default", b"shop.bill") is None


@given(some.lists(seconds, min_size=1, max_size=50))
def test_the_estimate_stays_within_what_was_seen(observed: list[float]) -> None:
    durations = Durations()
    for each in observed:
        observe(durations, 1, each)
    expected = durations.expected(1.0)
    assert expected is not None
    assert min(observed) - 1e-9 <= expected <= max(observed) + 1e-9


def test_a_long_job_counts_at_once_and_is_forgotten_slowly() -> None:
    durations = Durations()
    observe(durations, 100, SHORT)
    observe(durations, 1, LONG)
    assert (durations.expected(0.0) or 0.0) >= LONG / 2
    observe(durations, LATEST, SHORT)
    assert (durations.expected(0.0) or 0.0) > 100 * SHORT
    observe(durations, 100, SHORT)
    assert (durations.expected(0.0) or 0.0) < 2 * SHORT


def test_a_job_that_took_somewhat_longer_than_others_hardly_counts() -> None:
    durations = Durations()
    observe(durations, 100, 0.005)
    observe(durations, 1, 0.015)
    assert (durations.expected(0.0) or 0.0) < 0.0075


def test_a_job_that_others_may_wait_behind_moves_what_is_expected_by_a_tenth_however_long_it_took() -> None:
    durations = Durations()
    observe(durations, 100, 0.005)
    observe(durations, 1, 0.045)
    assert 0.005 < (durations.expected(0.0) or 0.0) < 0.0056


def test_a_job_that_still_runs_counts_too() -> None:
    durations = Durations()
    observe(durations, 1, SHORT)
    durations.observe_running("default", b"shop.bill", 0.3, 0.0)
    assert durations.expected(0.0) == 0.3
    durations.observe_running("default", b"shop.bill", 0.2, 0.0)
    assert durations.expected(0.0) == 0.3


def test_another_function_of_the_queue_tells_nothing_once_the_latest_jobs_are_of_one() -> None:
    durations = Durations()
    observe(durations, 1, LONG, b"shop.report")
    observe(durations, LATEST - 1, SHORT)
    assert durations.expected(0.0) == LONG
    observe(durations, 1, SHORT)
    assert durations.expected(0.0) == SHORT


def test_a_function_is_known_however_many_jobs_came_since() -> None:
    durations = Durations()
    observe(durations, 1, LONG, b"shop.report")
    observe(durations, 1000, SHORT)
    assert durations.of("default", b"shop.report") == Duration(LONG, LONG)
    assert durations.of("default", b"shop.bill") == Duration(SHORT, SHORT)
    assert durations.of("other", b"shop.bill") is None


def test_the_slowest_queue_seen_lately_decides() -> None:
    durations = Durations()
    durations.observe("slow", b"", LONG, 0.0)
    durations.observe("quick", b"", SHORT, 5.0)
    assert durations.expected(5.0) == LONG
    durations.observe("quick", b"", SHORT, 20.0)
    assert durations.expected(20.0) == SHORT


def test_of_endless_many_functions_the_latest_are_remembered() -> None:
    durations = Durations()
    for number in range(3 * MOST_KEPT):
        observe(durations, 1, SHORT, b"function %d" % number)
    assert durations.of("default", b"function 0") is None
    assert durations.of("default", b"function %d" % (3 * MOST_KEPT - 1)) == Duration(SHORT, SHORT)
    assert len(durations._queues["default"].functions) <= MOST_KEPT


def test_a_process_that_was_kept_from_running_tells_little_of_what_jobs_take() -> None:
    durations = Durations()
    observe(durations, 100, SHORT)
    observe(durations, 1, LONG)
    known = durations.of("default", b"shop.bill")
    assert known is not None
    assert known.undisturbed < 2 * SHORT
    observe(durations, 20, 0.005)
    assert known.undisturbed > 0.0025, "jobs of which each takes longer do count"
    observe(durations, 10, SHORT)
    assert known.undisturbed < 2 * SHORT


def test_of_a_job_that_still_runs_nobody_knows_how_quick_the_next_one_can_be() -> None:
    durations = Durations()
    durations.observe_running("default", b"shop.bill", LONG, 0.0)
    assert durations.of("default", b"shop.bill") == Duration(LONG, 0.0)
    observe(durations, 1, LONG)
    assert durations.of("default", b"shop.bill") == Duration(LONG, LONG)
