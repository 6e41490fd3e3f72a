"""The load over trees of cgroups as machines, containers and pods show them: right under a burn that is known."""

import os
from pathlib import Path

import pytest

from farm_worker.load.cgroup import parse_cpu_list
from farm_worker.load.facts import Facts
from farm_worker.load.sampler import Sampler
from tests.support.kernel_files import stat, write
from tests.support.recorded_cgroups import TREES, Recorded

TICKS = os.sysconf("SC_CLK_TCK")
POINTS = 0.05


def burn(tree: Recorded, root: Path, by_us: float, by_others: float = 0.0) -> Facts:
    """Five seconds in which our cgroup uses `by_us` of its CPUs, and others `by_others` of each CPU of ours."""
    now = 0.0
    tree.write(root)
    sampler = Sampler(root, clock=lambda: now, memory_threshold=0.9)
    sampler.sample([])
    ours = sorted(parse_cpu_list(tree.affinity))
    for step in range(1, 11):
        now = step * 0.5
        used = by_us * tree.cpus * now
        each = used / len(ours) + by_others * now
        busy = [each if number in ours else now for number in range(tree.machine_cpus)]  # what is not ours is full
        write(root, {"proc/stat": stat([round(seconds * TICKS) for seconds in busy])})
        tree.use(root, used)
        facts = sampler.sample([])
    sampler.close()
    return facts


@pytest.fixture(params=TREES, ids=list(TREES))
def tree(request: pytest.FixtureRequest) -> Recorded:
    return TREES[request.param]


def test_what_is_allowed_is_found_and_where(tree: Recorded, tmp_path: Path) -> None:
    facts = burn(tree, tmp_path, by_us=0.0)

    assert (facts.cpu_count, facts.memory_total) == (tree.cpus, tree.memory_total)
    assert facts.sources["cpu_count"] == f"{tmp_path}/{tree.source_of_cpus}"
    assert str(tmp_path / tree.usage) in facts.sources["cpu"]


@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_the_load_is_the_share_of_what_is_allowed(tree: Recorded, tmp_path: Path, share: float) -> None:
    facts = burn(tree, tmp_path, by_us=share)

    assert facts.load == pytest.approx(share, abs=POINTS)
    assert facts.cpu == pytest.approx(share, abs=POINTS)


def test_what_others_use_of_our_cpus_is_load_too(tree: Recorded, tmp_path: Path) -> None:
    facts = burn(tree, tmp_path, by_us=0.1, by_others=0.8)

    ours = len(parse_cpu_list(tree.affinity))
    assert facts.load == pytest.approx(0.8 + 0.1 * tree.cpus / ours, abs=POINTS)
    assert facts.load_source == "machine"


def test_memory_counts_without_the_cache_that_can_be_dropped(tree: Recorded, tmp_path: Path) -> None:
    facts = burn(tree, tmp_path, by_us=0.0)

    assert facts.memory < facts.memory_total
    assert facts.memory_left == int(0.9 * facts.memory_total) - facts.memory
    assert facts.sources["memory_total"].startswith(str(tmp_path))


def test_time_counted_in_another_group_than_the_limited_one_is_not_held_against_the_quota(tmp_path: Path) -> None:
    """With version 1 each controller has its own hierarchy: only the CPU's may have a group for us."""
    own = "4:cpu:/limited\n3:cpuacct:/\n2:cpuset:/\n1:memory:/"
    mounts = "\n".join(
        f"{number} 1 0:{number} / /sys/fs/cgroup/{name} rw - cgroup cgroup rw,{name}"
        for number, name in enumerate(("cpu", "cpuacct", "cpuset", "memory"))
    )
    tree = Recorded(
        {
            "proc/self/cgroup": own,
            "proc/self/mountinfo": mounts,
            "sys/fs/cgroup/cpu/limited/cpu.cfs_quota_us": 50000,
            "sys/fs/cgroup/cpu/limited/cpu.cfs_period_us": 100000,
        },
        usage="sys/fs/cgroup/cpuacct/cpuacct.usage",
        cpus=0.5,
        memory_total=0,
        source_of_cpus="",
        version=1,
    )
    facts = burn(tree, tmp_path, by_us=0.9)  # counted for the whole machine

    assert facts.cpu_count == 0.5
    assert facts.load < 0.1
