"""Parts of a drain: what ran in each, and those at full speed."""

import pytest

from tests.bench.workloads.windows import LEAST_SECONDS, Run, Window, at_full_speed, quickest, steady_windows


def row_of(seconds: float, count: int, start: float = 0.0) -> list[Run]:
    """Jobs without a pause in between, all of it CPU time."""
    begun = [start + seconds * number for number in range(count)]
    return [Run(each, each + seconds, seconds) for each in begun]


def test_all_time_of_jobs_without_a_pause_is_theirs() -> None:
    windows = steady_windows(row_of(0.005, 600))

    assert LEAST_SECONDS * len(windows) == pytest.approx(0.8 * 3.0, abs=2 * LEAST_SECONDS)
    for window in windows:
        assert window.seconds == LEAST_SECONDS
        assert window.cpu == pytest.approx(LEAST_SECONDS)
        assert window.jobs == pytest.approx(LEAST_SECONDS / 0.005)


def test_a_job_that_spans_windows_is_a_part_of_each() -> None:
    windows = steady_windows([*row_of(0.005, 600), Run(1.0, 2.0, 0.5)])

    assert sum(window.jobs for window in windows) == pytest.approx(len(windows) * LEAST_SECONDS / 0.005 + 1)
    assert max(window.cpu for window in windows) == pytest.approx(LEAST_SECONDS * 1.5)


def test_windows_of_slow_workers_are_as_long_as_it_takes_to_see_some_jobs() -> None:
    runs = [Run(2.0 * number, 2.0 * number + 0.005, 0.005) for number in range(100)]

    windows = steady_windows(runs)

    assert len(windows) in (7, 8)
    assert all(window.jobs == pytest.approx(10, abs=1) for window in windows)
    assert [window.seconds for window in windows] == pytest.approx([20.0] * len(windows), rel=0.05)


def test_windows_in_which_jobs_took_longer_than_the_quickest_do_not_count() -> None:
    least = quickest([*row_of(0.01, 50), *row_of(0.018, 50, start=0.5)])
    quick, slow = Window(0.1, jobs=10, cpu=0.11), Window(0.1, jobs=10, cpu=0.13)

    assert least == pytest.approx(0.01)
    assert at_full_speed([quick, slow], least) == [quick]


def test_a_window_without_jobs_counts_as_nothing_says_that_it_was_slow() -> None:
    assert at_full_speed([Window(0.1)], 0.01) == [Window(0.1)]
