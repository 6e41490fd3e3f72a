import os
import subprocess
import sys
import time

import psutil
import pytest

from farm_worker.load.facts import SamplingFailed
from farm_worker.load.processes import OwnProcesses
from farm_worker.load.sampler import Sampler
from tests.support.kernel_files import GIB, machine, stat, version_2, write
from tests.support.waiting import wait_until

TICKS = os.sysconf("SC_CLK_TCK")


class FakeMachine:
    """A machine whose counters a test moves."""

    def __init__(self, root, cpus=4, **cgroup_files):
        self.root, self.now, self.busy, self.used = root, 100.0, [0.0] * cpus, 0.0
        files = machine(cpus, f"0-{cpus - 1}") | version_2()
        write(
            root, files | {f"sys/fs/cgroup/app/{name.replace('__', '.')}": text for name, text in cgroup_files.items()}
        )
        self.sampler = Sampler(root, clock=lambda: self.now)

    def passes(self, seconds, busy=(), used=0.0):
        """Time goes on; each CPU is busy for so much of it, and our cgroup uses `used` CPUs."""
        self.now += seconds
        self.busy = [
            before + seconds * share for before, share in zip(self.busy, busy or [0] * len(self.busy), strict=True)
        ]
        self.used += seconds * used
        write(self.root, {"proc/stat": stat([round(seconds * TICKS) for seconds in self.busy])})
        write(self.root, {"sys/fs/cgroup/app/cpu.stat": f"usage_usec {round(self.used * 1e6)}"})

    def sample(self):
        return self.sampler.sample([])


@pytest.fixture
def fake(tmp_path):
    """Builds a fake machine whose sampler is closed at the end."""
    made = []

    def build(**arguments):
        made.append(FakeMachine(tmp_path, **arguments))
        made[-1].passes(0)
        return made[-1]

    yield build
    for one in made:
        one.sampler.close()


def test_the_first_sample_measures_nothing_yet(fake):
    facts = fake().sample()
    assert not facts.measured
    assert (facts.load, facts.cpu_count) == (0.0, 4.0)
    assert (facts.memory, facts.memory_total, facts.memory_share) == (4 * GIB, 16 * GIB, 0.25)


def test_the_load_is_the_busy_part_of_our_cpus(fake):
    one = fake()
    one.sample()
    one.passes(0.5, busy=[1, 1, 0, 0])
    facts = one.sample()
    assert facts.measured
    assert facts.load == pytest.approx(0.5)
    assert facts.others_load == pytest.approx(0.5)


def test_the_load_is_the_used_part_of_the_quota_when_that_is_more(fake):
    one = fake(cpu__max="50000 100000")
    one.sample()
    one.passes(0.5, busy=[0.4, 0, 0, 0], used=0.4)
    facts = one.sample()
    assert facts.cpu_count == 0.5
    assert facts.load == pytest.approx(0.8)


def test_a_measured_interval_counts_not_the_one_that_was_meant(fake):
    one = fake()
    one.sample()
    one.passes(1.7, busy=[1, 0, 0, 0])
    assert one.sample().load == pytest.approx(0.25, abs=0.01)


def test_the_load_is_smoothed_and_cpu_is_not(fake):
    one = fake()
    one.sample()
    for _ in range(4):
        one.passes(0.5)
        one.sample()
    one.passes(0.5, busy=[1, 1, 1, 1])
    facts = one.sample()
    assert facts.cpu == pytest.approx(1.0)
    assert facts.load == pytest.approx(0.2)


def test_a_counter_that_goes_back_does_not_move_the_load(fake):
    one = fake()
    one.sample()
    one.passes(0.5, busy=[0.5] * 4)
    assert one.sample().load == pytest.approx(0.5)
    one.busy = [0.0] * 4
    one.passes(0.5)
    assert one.sample().load == pytest.approx(0.5)


def test_a_counter_that_makes_no_sense_for_long_is_a_failure_and_not_a_frozen_value(fake):
    one = fake()
    one.busy = [1000.0] * 4
    one.passes(0.5)
    one.sample()

    def run_backwards():
        for _ in range(30):
            one.busy = [busy - 1 for busy in one.busy]
            one.passes(0.5)
            one.sample()

    with pytest.raises(SamplingFailed, match="CPU time of the machine"):
        run_backwards()


def test_a_source_that_fails_is_named_and_the_next_sample_works_again(fake):
    one = fake()
    one.sample()
    (one.root / "proc/stat").write_text("nonsense\n")
    with pytest.raises(SamplingFailed, match="CPU time of the machine cannot be read"):
        one.sample()
    one.passes(0.5, busy=[1] * 4)
    assert one.sample().load == pytest.approx(1.0)


def test_a_quota_that_is_changed_while_we_run_is_noticed(fake):
    one = fake(cpu__max="200000 100000")
    assert one.sample().cpu_count == 2.0
    write(one.root, {"sys/fs/cgroup/app/cpu.max": "100000 100000"})
    one.passes(11)
    assert one.sample().cpu_count == 1.0


def test_our_own_part_of_the_load_is_told_apart_from_that_of_others(fake):
    one = fake()
    write(one.root, {"proc/77/stat": process_stat(0), "proc/77/task/77/children": ""})
    one.sampler.sample([77])
    one.passes(1, busy=[1, 1, 1, 0])
    write(one.root, {"proc/77/stat": process_stat(2 * TICKS)})
    facts = one.sampler.sample([77])
    assert facts.load == pytest.approx(0.75)
    assert facts.own_load == pytest.approx(0.5)
    assert facts.others_load == pytest.approx(0.25)


def process_stat(ticks, began=0):
    """/proc/<pid>/stat of a process with an awkward name."""
    fields = ["S", *["0"] * 10, str(ticks), "0", "0", "0", *["0"] * 4, str(began), *["0"] * 10]
    return f"77 (a ) b) {' '.join(fields)}"


def test_a_process_that_ended_does_no_harm(fake):
    one = fake()
    one.sampler.sample([123456])
    one.passes(0.5)
    assert one.sampler.sample([123456]).own_load == 0.0


def test_what_a_process_used_before_it_was_first_seen_does_not_count(fake):
    one = fake()
    one.sample()
    write(one.root, {"proc/77/stat": process_stat(1000 * TICKS), "proc/77/task/77/children": ""})
    one.passes(0.5, busy=[1] * 4)
    assert one.sampler.sample([77]).own_load == 0.0


BURN_IN_A_GRANDCHILD = """
import subprocess, sys
subprocess.run([sys.executable, "-c", "while True: pass"])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="grandchildren are found through /proc")
def test_the_work_of_a_grandchild_is_the_hosts_own(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", BURN_IN_A_GRANDCHILD])
    try:
        wait_until(lambda: psutil.Process(parent.pid).children(), "the grandchild runs")
        own = OwnProcesses(tmp_path.__class__("/"))
        own.growth([parent.pid], 0.0)
        wait_until(lambda: own.growth([parent.pid], 0.0) > 0.01, "its CPU time is counted")
        own.close()
    finally:
        for child in psutil.Process(parent.pid).children():
            child.kill()
        parent.wait(10)


def test_a_sampler_on_this_machine_gives_shares():
    sampler = Sampler()
    sampler.sample([os.getpid()])
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    facts = sampler.sample([os.getpid()])
    sampler.close()
    assert facts.measured
    assert 0 < facts.load <= 1
    assert 0 < facts.own_load <= 1
    assert 0 < facts.memory < facts.memory_total


def test_what_the_host_uses_for_its_start_is_no_load(fake):
    one = fake()
    write(one.root, {"proc/77/stat": process_stat(0), "proc/77/task/77/children": ""})
    one.sampler.sample([77], starting=True)
    one.passes(1, busy=[1, 1, 1, 0.2], used=3)
    write(one.root, {"proc/77/stat": process_stat(3 * TICKS)})

    facts = one.sampler.sample([77], starting=True)

    assert facts.measured
    assert (facts.load, facts.cpu) == (pytest.approx(0.05), pytest.approx(0.05)), "what others use is there at once"
    assert (facts.own_load, facts.others_load) == (0.0, pytest.approx(0.05))


def test_after_the_start_what_the_host_uses_is_load(fake):
    one = fake()
    write(one.root, {"proc/77/stat": process_stat(0), "proc/77/task/77/children": ""})
    one.sampler.sample([77], starting=True)
    one.passes(0.5, busy=[1] * 4, used=4)
    write(one.root, {"proc/77/stat": process_stat(2 * TICKS)})
    assert one.sampler.sample([77], starting=True).load == 0.0
    one.passes(0.5, busy=[1] * 4, used=4)
    write(one.root, {"proc/77/stat": process_stat(4 * TICKS)})
    assert one.sampler.sample([77]).load == pytest.approx(0.5)


def test_without_a_count_of_the_quota_s_time_the_host_s_own_use_of_it_is_the_load(fake):
    one = fake(cpu__max="100000 100000")
    (one.root / "sys/fs/cgroup/app/cpu.stat").unlink()
    write(one.root, {"proc/77/stat": process_stat(0), "proc/77/task/77/children": ""})
    one.sampler._limits_read_at -= 100
    one.sampler.sample([77])
    (one.root / "sys/fs/cgroup/app/cpu.stat").unlink(missing_ok=True)
    one.now += 1
    write(one.root, {"proc/stat": stat([TICKS // 2, 0, 0, 0]), "proc/77/stat": process_stat(TICKS // 2)})
    facts = one.sampler.sample([77])
    assert (facts.load, facts.load_source) == (pytest.approx(0.5), "cgroup")
    assert facts.others_load == pytest.approx(0.0)


def test_memory_left_is_the_least_that_any_limit_leaves(tmp_path):
    files = {
        "sys/fs/cgroup/a/memory.max": 8 * GIB,
        "sys/fs/cgroup/a/memory.current": 6 * GIB,
        "sys/fs/cgroup/a/b/memory.max": 2 * GIB,
        "sys/fs/cgroup/a/b/memory.current": GIB,
    }
    sampler = Sampler(write(tmp_path, machine() | version_2("/a/b") | files), memory_threshold=0.9)
    facts = sampler.sample([])
    sampler.close()
    assert (facts.memory, facts.memory_total) == (6 * GIB, 8 * GIB), "this one is nearer to its line"
    assert facts.memory_left == int(1.8 * GIB) - GIB, "but that one has less left"
    assert facts.sources["memory_total"] == f"{tmp_path}/sys/fs/cgroup/a/memory.max"


def test_memory_that_cannot_be_read_is_tried_with_each_sample(fake):
    one = fake()
    one.sample()
    meminfo = (one.root / "proc/meminfo").read_text()
    (one.root / "proc/meminfo").write_text("nonsense\n")
    one.passes(1)
    for _ in range(3):
        with pytest.raises(SamplingFailed, match="memory"):
            one.sample()
        one.passes(0.1)
    (one.root / "proc/meminfo").write_text(meminfo)
    assert one.sample().memory == 4 * GIB
