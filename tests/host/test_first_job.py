"""A host whose machine others use already, from the kernel's files to the decision: it takes its first job.

The sampler reads a tree of kernel files as such a machine shows them; admission decides with the default settings.
"""

import os
from pathlib import Path

import pytest

from farm_settings import load
from farm_worker.admission import AdmissionFacts, AdmissionState, decide
from farm_worker.load.facts import Facts
from farm_worker.load.sampler import Sampler
from tests.support.kernel_files import GIB, machine, stat, version_2, write

TICKS = os.sysconf("SC_CLK_TCK")


def measured(root: Path, memory_used: float, cpu_used: float) -> Facts:
    """What the sampler says after ten seconds on a machine of four CPUs where others use so much."""
    now = 0.0
    available = round((1 - memory_used) * 16 * GIB)
    write(root, machine(4, "0-3", available=available) | version_2())
    write(root, {"sys/fs/cgroup/app/cpu.stat": "usage_usec 0"})
    sampler = Sampler(root, clock=lambda: now)
    sampler.sample([])
    for second in range(1, 11):
        now = float(second)
        write(root, {"proc/stat": stat([round(second * cpu_used * TICKS)] * 4)})
        facts = sampler.sample([])
    sampler.close()
    return facts


def decided(facts: Facts, busy: int = 0) -> AdmissionState:
    admission = load(environ={}).admission
    return decide(
        AdmissionState.initial(0.0),
        AdmissionFacts(
            load=facts.load, memory_share=facts.memory_share, others_load=facts.others_load, slots=2, busy=busy
        ),
        admission,
        100.0,
    )


def test_a_host_takes_jobs_where_others_use_most_of_the_memory(tmp_path: Path) -> None:
    facts = measured(tmp_path, memory_used=0.8, cpu_used=0.1)
    assert facts.memory_share == pytest.approx(0.8, abs=0.01)

    state = decided(facts)

    assert (state.state, state.capacity) == ("available", 2)


def test_a_host_takes_its_first_job_where_others_use_most_of_the_cpu_and_of_the_memory(tmp_path: Path) -> None:
    facts = measured(tmp_path, memory_used=0.8, cpu_used=0.8)
    assert facts.others_load == pytest.approx(0.8, abs=0.05)

    assert (decided(facts).state, decided(facts).capacity) == ("full", 1)
    assert decided(facts, busy=1).capacity == 0


def test_a_host_takes_nothing_where_others_use_the_memory_up(tmp_path: Path) -> None:
    state = decided(measured(tmp_path, memory_used=0.95, cpu_used=0.1))
    assert (state.state, state.capacity) == ("full", 0)
    assert "memory in use 0.95 is at or over the threshold 0.90" in state.reason
