"""What the capacity experiment concludes from what it saw."""

from dataclasses import replace

import pytest

from tests.capacity_experiment.verdict import Round, Step, comparisons, crossing, text


def step(processes: int, use: float, per_second: float, others: float = 0.01, full: float = 0.0) -> Step:
    return Step(processes, use, per_second, others, full)


def seen(fits: float = 6.0, drift: float = 1.0, others: float = 0.01) -> Round:
    """A host that uses an eighth of the CPUs with each process, and does five jobs a second with it."""
    steps = [step(n, n / 8, n * 5.0, others) for n in (4, 6, 8)]
    return Round("cpu", fits, fits * 5, 6, 30.0, 0.75, steps, drift)


def test_what_is_sustained_is_where_the_use_crosses_the_line() -> None:
    assert crossing([(0.5, 4), (1.0, 8)], 0.75) == pytest.approx(6)
    assert seen().sustained == pytest.approx(6)
    assert seen().sustained_per_second == pytest.approx(30)


def test_without_two_distinct_points_there_is_no_line() -> None:
    with pytest.raises(ValueError, match="no line"):
        crossing([(0.5, 4), (0.5, 5)], 0.75)


@pytest.mark.parametrize(("fits", "holds"), [(6.0, True), (5.3, True), (5.0, False), (6.9, True), (7.2, False)])
def test_a_prediction_holds_within_fifteen_per_cent(fits: float, holds: bool) -> None:
    at_once = comparisons([seen(fits)] * 3)[0]

    assert at_once.ratio == pytest.approx(6 / fits)
    assert at_once.holds is holds


def test_the_median_round_decides() -> None:
    assert comparisons([seen(6.0), seen(6.1), seen(60.0)])[0].holds
    assert not comparisons([seen(6.0), seen(60.0), seen(60.0)])[0].holds


@pytest.mark.parametrize(
    ("drift", "others", "counts"), [(1, 0.1, True), (1, 0.2, False), (1.3, 0, False), (0.8, 0, False)]
)
def test_a_round_in_which_neighbours_were_at_work_does_not_count(drift: float, others: float, counts: bool) -> None:
    assert seen(drift=drift, others=others).counts is counts


def test_what_neighbours_use_of_the_cpus_says_nothing_of_memory() -> None:
    assert replace(seen(others=0.4), binding="memory").counts
    assert not replace(seen(drift=1.3), binding="memory").counts


def test_the_table_says_what_was_predicted_observed_and_discarded() -> None:
    told = text("some work", [seen(), seen(5.8)], discarded=1)

    assert "**some work** (the CPU binds), 2 rounds; 1 more were discarded" in told
    assert "| jobs at once at the threshold | 5.90 | 6.00 | 1.02 (1.00, 1.03) | agrees |" in told
    assert "Advised: `--processes` 6, 6." in told
