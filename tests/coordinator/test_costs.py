"""What jobs are expected to use."""

from dataclasses import dataclass

import pytest

from farm.coordinator.costs import Cost, Costs


@dataclass(frozen=True)
class Usage:
    queue: str
    function: str
    jobs: float
    cpus: float
    memory: int
    wall_seconds: float = 1.0


def test_a_function_costs_what_it_used_in_its_queue() -> None:
    costs = Costs([Usage("q", "f", 3, 0.5, 100), Usage("other", "f", 3, 2.0, 7)])

    assert costs.of("q", "f") == Cost(0.5, 100)
    assert costs.of("q", "g") is None
    assert costs.of("none", "f") is None


def test_the_next_job_of_a_queue_costs_the_mean_of_the_jobs_that_came() -> None:
    costs = Costs([Usage("q", "often", 3, 0.0, 0), Usage("q", "rare", 1, 1.0, 400)])

    assert costs.of_queue("q") == Cost(0.25, 100)
    assert costs.of_queue("other") is None


def test_a_job_found_running_is_more_often_a_long_one() -> None:
    costs = Costs([Usage("q", "short", 9, 0.0, 0, wall_seconds=1), Usage("p", "long", 1, 1.0, 100, wall_seconds=9)])

    assert costs.of_running(("q", "p")) == Cost(0.5, 50)
    assert costs.of_running(("p",)) == Cost(1.0, 100)
    assert costs.of_running(("none",)) is None


@pytest.mark.parametrize("jobs", [0.0, -1.0])
def test_a_function_without_jobs_is_not_known(jobs: float) -> None:
    costs = Costs([Usage("q", "f", jobs, 1.0, 1)])

    assert not costs
    assert costs.of("q", "f") is None
