"""Jobs that wait for CPUs: cases computed by hand, what must hold for all, and many jobs followed one by one."""

import heapq
import random
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.contention import ALL_BUSY, Contention


@pytest.mark.parametrize(
    ("cores", "jobs", "busy"),
    [
        (1, 1, 1 / 2),  # a second of CPU, a second of pause
        (1, 2, 4 / 5),  # 0, 1 or 2 want the CPU: as often as 1 : 2 : 2
        (2, 2, 1.0),  # nobody waits
        (2, 3, 24 / 17),  # as often as 1 : 3 : 3 : 3/2, with 0, 1, 2 and 2 CPUs busy
        (1, 1.5, 0.65),
    ],
)
def test_how_many_cpus_are_busy_can_be_computed_by_hand(cores: float, jobs: float, busy: float) -> None:
    contention = Contention(cpu_seconds=1.0, pause_seconds=1.0, cores=cores)

    assert contention.busy(jobs) == pytest.approx(busy)
    assert contention.seconds(jobs) == pytest.approx(jobs / busy)


def test_jobs_that_never_pause_have_a_cpu_each_until_there_is_none_left() -> None:
    contention = Contention(cpu_seconds=3.0, pause_seconds=0.0, cores=4)

    assert [contention.busy(jobs) for jobs in (1, 3.5, 4, 9)] == [1, 3.5, 4, 4]
    assert contention.seconds(8) == pytest.approx(6.0)
    assert contention.jobs_at(3.0) == pytest.approx(3.0)
    assert contention.jobs_at(4.0) == pytest.approx(4.0)


def test_a_job_that_uses_several_cpus_at_once_counts_as_that_many() -> None:
    contention = Contention(cpu_seconds=4.0, pause_seconds=0.0, cores=8, parallel=2.0)

    assert [contention.busy(jobs) for jobs in (1, 3, 5)] == [2, 6, 8]
    assert contention.jobs_at(6.0) == pytest.approx(3.0)


contentions = st.builds(
    Contention,
    cpu_seconds=st.floats(1e-6, 1e5),
    pause_seconds=st.floats(0, 1e5),
    cores=st.floats(0.05, 128),
    parallel=st.floats(1, 4),
)


@given(contentions, st.integers(1, 400), st.floats(0, 10))
def test_more_jobs_keep_no_fewer_cpus_busy_and_none_is_quicker(contention: Contention, jobs: int, more: float) -> None:
    assert contention.busy(jobs) <= contention.busy(jobs + more) * (1 + 1e-9)
    assert contention.busy(jobs) <= min(jobs * contention.alone, contention.cores) * (1 + 1e-9)
    assert contention.seconds(jobs) <= contention.seconds(jobs + more) * (1 + 1e-9)


@given(contentions, st.floats(0.01, 1.0))
def test_as_many_jobs_as_keep_a_share_busy_do_and_one_fewer_does_not(contention: Contention, share: float) -> None:
    wanted = share * contention.cores

    jobs = contention.jobs_at(wanted)

    assert jobs >= wanted / contention.alone * (1 - 1e-9)
    assert contention.busy(jobs) >= min(wanted, ALL_BUSY * contention.cores) * (1 - 1e-6)
    if share < ALL_BUSY and jobs > 1:
        assert contention.busy(jobs - 1) < wanted


Draw = Callable[[random.Random, float], float]
DISTRIBUTIONS: dict[str, Draw] = {
    "always the same": lambda _, mean: mean,
    "exponential": lambda random, mean: random.expovariate(1 / mean),
    "one long in ten": lambda random, mean: mean * (5.5 if random.random() < 0.1 else 0.5),
}


def followed(contention: Contention, jobs: int, draw_cpu: Draw, draw_pause: Draw, until: float) -> float:
    """CPUs busy on average, of jobs followed one by one that share the CPUs fairly."""
    chance = random.Random(1)
    now = busy_seconds = received = 0.0  # received: CPU seconds that each has had that wanted one all along
    pausing = [draw_pause(chance, contention.pause_seconds) * chance.random() for _ in range(jobs)]
    heapq.heapify(pausing)
    wanting: list[float] = []
    while now < until:
        rate = min(1.0, contention.cores / len(wanting)) if wanting else 0.0
        served = now + (wanting[0] - received) / rate if wanting else float("inf")
        woken = pausing[0] if pausing else float("inf")
        then = min(served, woken)
        busy_seconds += (then - now) * rate * len(wanting)
        received += (then - now) * rate
        now = then
        if served <= woken:
            heapq.heappop(wanting)
            heapq.heappush(pausing, now + draw_pause(chance, contention.pause_seconds))
        else:
            heapq.heappop(pausing)
            heapq.heappush(wanting, received + draw_cpu(chance, contention.cpu_seconds))
    return busy_seconds / now


VARYING = [pair for pair in product(DISTRIBUTIONS, repeat=2) if pair != ("always the same", "always the same")]
"""Where nothing at all varies jobs may fall into step and never meet."""


@pytest.mark.parametrize(("of_cpu", "of_pause"), VARYING)
@pytest.mark.parametrize(("cores", "jobs"), [(2, 7), (4, 16), (0.5, 9)])
def test_jobs_followed_one_by_one_come_to_the_same(cores: float, jobs: int, of_cpu: str, of_pause: str) -> None:
    contention = Contention(cpu_seconds=0.05, pause_seconds=0.15 if cores >= 1 else 0.9, cores=cores)

    busy = followed(contention, jobs, DISTRIBUTIONS[of_cpu], DISTRIBUTIONS[of_pause], until=2000.0)

    assert busy == pytest.approx(contention.busy(jobs), rel=0.03)
