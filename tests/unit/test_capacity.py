"""How many jobs fit: tables computed by hand, and what must hold for all numbers."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farm.capacity import Capacity, HostCost, JobCost, Lines, Machine, capacity

GB, MB = 10**9, 10**6
NOTHING = HostCost(memory=0, process_memory=0, cpus=0, job_cpu_seconds=0)
"""Of a host that takes nothing: so the tables stay simple."""
DEFAULTS = Lines()


def fits(machine: Machine, job: JobCost, lines: Lines = DEFAULTS, host: HostCost = NOTHING) -> Capacity:
    return capacity(machine, host, job, lines)


@pytest.mark.parametrize(
    ("machine", "job", "lines", "at_once", "per_second", "binding"),
    [
        # 0.75 of 4 CPUs are 3, a job uses 0.2 while it runs: 15, and each waits for a CPU now and then
        (Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB), Lines(), 15, 7.234, "cpu"),
        # 0.9 of 16 GB are 14.4: fourteen jobs of 1 GB
        (Machine(4, 16 * GB), JobCost(0.02, 2.0, 1 * GB), Lines(), 14, 7, "memory"),
        # other programs use 4 GB of that
        (Machine(4, 16 * GB, 4 * GB), JobCost(0.02, 2.0, 1 * GB), Lines(), 10, 5, "memory"),
        (Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB), Lines(slots=8), 8, 3.993, "slots"),
        # half a CPU: 0.375 for jobs of 0.05 are 7.5, and one more as they wait for it
        (Machine(0.5, GB), JobCost(0.05, 1.0, 0), Lines(), 8, 7.108, "cpu"),
        (Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB), Lines(threshold=0.5), 10, 4.967, "cpu"),
        # nothing but waiting: memory alone
        (Machine(4, 16 * GB), JobCost(0, 60.0, 100 * MB), Lines(), 144, 2.4, "memory"),
        # all of one CPU: three below the threshold of four
        (Machine(4, 16 * GB), JobCost(1.0, 1.0, 0), Lines(), 3, 3, "cpu"),
    ],
)
def test_what_fits_is_what_can_be_computed_by_hand(
    machine: Machine, job: JobCost, lines: Lines, at_once: int, per_second: float, binding: str
) -> None:
    result = fits(machine, job, lines)

    assert result.at_once == at_once
    assert result.per_second == pytest.approx(per_second, rel=1e-3)
    assert result.binding == binding


def test_the_host_itself_and_each_process_count() -> None:
    host = HostCost(memory=400 * MB, process_memory=100 * MB, cpus=0.2, job_cpu_seconds=0)

    by_memory = fits(Machine(4, 16 * GB), JobCost(0.0, 1.0, 900 * MB), host=host)
    by_cpu = fits(Machine(4, 16 * GB), JobCost(1.0, 1.0, 0), host=host)

    assert by_memory.by_memory == pytest.approx(14.0)  # (14.4 - 0.4) / (0.1 + 0.9)
    assert by_memory.at_once == 14
    assert by_cpu.by_cpu == pytest.approx(2.8)  # 3 - 0.2


def test_a_job_bigger_than_the_machine_does_not_fit_and_the_need_is_told() -> None:
    result = fits(Machine(4, 16 * GB), JobCost(1.0, 1.0, 20 * GB))

    assert (result.at_once, result.per_second, result.binding) == (0, 0, "memory")
    assert not result.fits_memory
    assert not result.over_threshold
    assert result.memory_needed == 20 * GB
    assert result.memory_allowed == pytest.approx(14.4 * GB)
    assert result.most_busy == 0
    assert result.hosts_for(1.0) is None


def test_one_job_that_takes_the_load_over_the_threshold_runs_all_the_same() -> None:
    result = fits(Machine(1, 16 * GB), JobCost(1.0, 1.0, 0))

    assert result.by_cpu == pytest.approx(0.75)
    assert result.over_threshold
    assert (result.at_once, result.per_second) == (1, 1)


def test_a_job_that_would_use_more_cpus_than_there_are_takes_longer() -> None:
    result = fits(Machine(2, 16 * GB), JobCost(8.0, 1.0, 0))

    assert result.cpus_per_job == 2
    assert result.wall_seconds == 4
    assert result.at_once == 1
    assert result.per_second == pytest.approx(0.25)


def test_a_backlog_keeps_nearly_all_cpus_busy() -> None:
    pausing = fits(Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB))
    computing = fits(Machine(4, 16 * GB), JobCost(0.4, 0.4, 300 * MB))

    assert pausing.most_busy == 25  # with 20 that is 3.6 CPUs: now and then many pause at once
    assert 0.97 * 10 <= pausing.most_per_second < 10
    assert (computing.most_busy, computing.most_per_second) == (4, pytest.approx(10))


def test_beside_others_a_job_takes_what_it_waits_for_a_cpu_longer() -> None:
    result = fits(Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB))

    assert result.by_cpu > 15  # 3 / 0.2, were all to find a CPU at once
    assert result.cpu_wait_seconds == pytest.approx(0.0735, abs=1e-4)
    assert result.per_second == pytest.approx(15 / 2.0735, rel=1e-4)


def test_a_time_measured_beside_others_has_that_wait_already() -> None:
    result = fits(Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB, cpu_wait_counted=True))

    assert result.by_cpu == pytest.approx(15.0)
    assert (result.cpu_wait_seconds, result.per_second) == (0, pytest.approx(7.5))
    assert (result.most_busy, result.most_per_second) == (20, pytest.approx(10))


def test_a_job_that_uses_nothing_has_no_limit_but_slots() -> None:
    free = fits(Machine(4, 16 * GB), JobCost(0, 1.0, 0))
    bound = fits(Machine(4, 16 * GB), JobCost(0, 1.0, 0), Lines(slots=3))

    assert (free.at_once, free.binding) == (math.inf, "nothing")
    assert free.hosts_for(1e9) == 1
    assert (bound.at_once, bound.binding) == (3, "slots")


@pytest.mark.parametrize(("rate", "hosts"), [(0, 0), (7.2, 1), (7.3, 2), (50, 7), (72.3, 10)])
def test_a_rate_needs_whole_hosts(rate: float, hosts: int) -> None:
    assert fits(Machine(4, 16 * GB), JobCost(0.4, 2.0, 300 * MB)).hosts_for(rate) == hosts


@pytest.mark.parametrize(
    "nonsense",
    [
        lambda: Machine(0, GB),
        lambda: Machine(math.nan, GB),
        lambda: Machine(1, 0),
        lambda: JobCost(-1, 1, 0),
        lambda: JobCost(1, 0, 0),
        lambda: JobCost(math.nan, 1, 0),
        lambda: HostCost(memory=-1),
        lambda: Lines(threshold=0),
        lambda: Lines(slots=0),
    ],
)
def test_what_is_no_amount_is_refused(nonsense: object) -> None:
    with pytest.raises(ValueError, match=r"not|below 0|above 0"):
        nonsense()  # type: ignore[operator]


cores = st.floats(0.05, 512)
sizes = st.integers(1, 10**13)
machines = st.builds(Machine, cores, sizes, st.integers(0, 10**12))
costs = st.builds(HostCost, st.integers(0, 10**10), st.integers(0, 10**9), st.floats(0, 2), st.floats(0, 0.01))
jobs = st.builds(JobCost, st.floats(0, 1e5), st.floats(1e-5, 1e5), st.integers(0, 10**12), st.booleans())
lines = st.builds(Lines, st.floats(0.01, 1), st.floats(0.01, 1), st.none() | st.integers(1, 10_000))


@given(machines, costs, jobs, lines)
def test_what_binds_is_the_least_of_what_there_is(
    machine: Machine, host: HostCost, job: JobCost, limits: Lines
) -> None:
    result = capacity(machine, host, job, limits)

    bounds = {"cpu": result.by_cpu, "memory": result.by_memory, "slots": result.by_slots, "nothing": math.inf}
    assert bounds[result.binding] == min(bounds.values())
    assert result.fits == min(bounds.values())


@given(machines, costs, jobs, lines)
def test_every_number_is_one(machine: Machine, host: HostCost, job: JobCost, limits: Lines) -> None:
    result = capacity(machine, host, job, limits)

    for number in (result.fits, result.at_once, result.per_second, result.most_busy, result.most_per_second):
        assert number >= 0  # NaN is not
    assert result.at_once == math.inf or result.at_once == int(result.at_once)
    assert 0 <= result.cpus_per_job <= machine.cores * (1 + 1e-9)
    assert (result.at_once == 0) == (not result.fits_memory)


@given(machines, costs, jobs, lines)
def test_what_runs_at_once_stays_below_both_lines(
    machine: Machine, host: HostCost, job: JobCost, limits: Lines
) -> None:
    result = capacity(machine, host, job, limits)
    if math.isinf(result.at_once) or result.at_once == 0:
        return

    memory = machine.memory_others + host.memory + result.at_once * result.memory_per_job
    assert memory <= result.memory_allowed * (1 + 1e-6) + result.memory_per_job * 1e-6
    if not result.over_threshold:
        used = host.cpus + result.per_second * (job.cpu_seconds + host.job_cpu_seconds)
        assert used <= limits.threshold * machine.cores * (1 + 1e-6) + 1e-6


@given(machines, costs, jobs, lines, st.floats(1, 8), st.integers(0, 10**12))
@example(Machine(1, 1), HostCost(job_cpu_seconds=0), JobCost(5e-324, 2.0, 0), Lines(), 1.0, 0)
@example(Machine(1, 1), HostCost(job_cpu_seconds=0), JobCost(5e-324, 2.0, 0, cpu_wait_counted=True), Lines(), 1.0, 0)
def test_more_cpus_and_more_memory_never_take_less(
    machine: Machine, host: HostCost, job: JobCost, limits: Lines, factor: float, more: int
) -> None:
    small = capacity(machine, host, job, limits)
    for larger in (
        Machine(machine.cores * factor, machine.memory, machine.memory_others),
        Machine(machine.cores, machine.memory + more, machine.memory_others),
    ):
        large = capacity(larger, host, job, limits)

        assert large.at_once >= small.at_once or large.cpus_per_job > small.cpus_per_job
        assert large.per_second >= small.per_second * (1 - 1e-9) or large.cpus_per_job > small.cpus_per_job
        if large.cpus_per_job <= small.cpus_per_job:
            assert large.most_per_second >= small.most_per_second * (1 - 1e-9)


@given(machines, costs, jobs, lines, st.floats(0.001, 1e6))
def test_the_hosts_for_a_rate_are_enough_and_none_is_too_many(
    machine: Machine, host: HostCost, job: JobCost, limits: Lines, rate: float
) -> None:
    result = capacity(machine, host, job, limits)
    needed = result.hosts_for(rate)
    if needed is None:
        assert not result.fits_memory
        return

    assert needed * result.per_second >= rate * (1 - 1e-6)
    assert needed == 1 or (needed - 1) * result.per_second < rate * (1 + 1e-6)
