"""Parts of a drain: what ran in each, and those at full speed."""

import pytest

from tests.bench.workloads.windows import WINDOW_SECONDS, Run, Window, at_full_speed, steady_windows


def row_of(seconds: float, count: int, start: float = 0.0) -> list[Run]:
    """Jobs without a pause in between, all of it CPU time."""
    begun = [start + seconds * number for number in range(count)]
    return [Run(each, each + seconds, seconds) for each in begun]


def test_all_time_of_jobs_without_a_pause_is_theirs() -> None:
    windows = steady_windows(row_of(0.03, 100))

    assert WINDOW_SECONDS * len(windows) == pytest.approx(0.8 * 3.0, abs=2 * WINDOW_SECONDS)
    for window in windows:
        assert window.cpu == pytest.approx(WINDOW_SECONDS)
        assert window.jobs == pytest.approx(WINDOW_SECONDS / 0.03)


def test_a_job_that_spans_windows_is_a_part_of_each() -> None:
    windows = steady_windows([*row_of(0.05, 40), Run(0.5, 1.5, 0.5)])

    assert sum(window.jobs for window in windows) == pytest.approx(20 * WINDOW_SECONDS * len(windows) + 1)
    assert max(window.cpu for window in windows) == pytest.approx(WINDOW_SECONDS * 1.5)


def test_windows_in_which_jobs_took_longer_than_the_quickest_do_not_count() -> None:
    runs = [*row_of(0.01, 50), *row_of(0.018, 50, start=0.5)]
    quick, slow = Window(jobs=10, cpu=0.11), Window(jobs=10, cpu=0.13)

    assert at_full_speed([quick, slow], runs) == [quick]


def test_a_window_without_jobs_counts_as_nothing_says_that_it_was_slow() -> None:
    assert at_full_speed([Window()], row_of(0.01, 50)) == [Window()]
