"""What runs of a call come to: as a host at its threshold would see it."""

from typing import Any

import pytest

from farm.cli.trial import measured


def runs(cpu: list[float], beside: list[float], wall: float = 0.2) -> dict[str, Any]:
    return {
        "cpu_seconds": cpu,
        "wall_seconds": [wall] * len(cpu),
        "memory": [1_000_000],
        "first_wall_seconds": 0.5,
        "side_by_side": 2 if beside else 0,
        "cpu_seconds_beside": beside,
    }


def test_what_a_run_takes_longer_beside_others_counts_as_often_as_others_run() -> None:
    found = measured(runs([0.04, 0.06], [0.08, 0.1]), threshold=0.75)

    assert found.cost.cpu_seconds == pytest.approx(0.05 + 0.75 * 0.04)
    assert found.cost.wall_seconds == pytest.approx(0.2 + 0.03)
    assert (found.cpu_seconds_alone, found.side_by_side) == (pytest.approx(0.05), 2)


def test_runs_that_were_quicker_beside_others_by_chance_count_as_those_alone() -> None:
    found = measured(runs([0.05], [0.04]), threshold=0.75)

    assert found.cost.cpu_seconds == pytest.approx(0.05)


def test_without_runs_side_by_side_those_alone_count() -> None:
    found = measured(runs([0.05], []), threshold=0.75)

    assert (found.cost.cpu_seconds, found.side_by_side) == (pytest.approx(0.05), 0)
