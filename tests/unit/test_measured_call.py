"""What runs of a call come to: as a host at its threshold would see it."""

from typing import Any

import pytest

from farm.cli.trial import measured


def runs(cpu: list[float], beside: float | None, load: float = 0.75, wall: float = 0.2) -> dict[str, Any]:
    return {
        "cpu_seconds": cpu,
        "wall_seconds": [wall] * len(cpu),
        "memory": [1_000_000],
        "first_wall_seconds": 0.5,
        "side_by_side": 2 if beside else 0,
        "cpu_seconds_beside": beside or 0.0,
        "load_beside": load if beside else 0.0,
    }


@pytest.mark.parametrize("beside", [0.09, 0.045])
def test_at_the_load_of_the_threshold_what_a_run_took_then_counts(beside: float) -> None:
    found = measured(runs([0.04, 0.06], beside), threshold=0.75)

    assert found.cost.cpu_seconds == pytest.approx(beside)
    assert found.cost.wall_seconds == pytest.approx(0.2 + beside - 0.05)
    assert (found.cpu_seconds_alone, found.side_by_side) == (pytest.approx(0.05), 2)


def test_at_more_load_than_that_it_counts_as_often_as_others_run() -> None:
    found = measured(runs([0.05], 0.09, load=1.0), threshold=0.75)

    assert found.cost.cpu_seconds == pytest.approx(0.05 + 0.75 * 0.04)


def test_at_less_load_it_counts_as_it_is() -> None:
    found = measured(runs([0.05], 0.06, load=0.1), threshold=0.75)

    assert found.cost.cpu_seconds == pytest.approx(0.06)


def test_without_runs_side_by_side_those_alone_count() -> None:
    found = measured(runs([0.05], None), threshold=0.75)

    assert (found.cost.cpu_seconds, found.side_by_side) == (pytest.approx(0.05), 0)
