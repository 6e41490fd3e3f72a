import pytest

from farm_worker.load import cgroup
from farm_worker.load.cpu import allowed_cpus
from farm_worker.load.files import KeptFile
from farm_worker.load.memory import Memory, read_machine, read_memory
from tests.support.kernel_files import GIB, machine, version_1, version_2, write

CPU_1 = "sys/fs/cgroup/cpu,cpuacct"
MEMORY_1 = "sys/fs/cgroup/memory"


def memory_of(root):
    return read_memory(cgroup.find(root).memory_limits(), KeptFile(root / "proc/meminfo"))


def seconds_of(root):
    found = cgroup.find(root)
    return cgroup.cpu_seconds(KeptFile(found.usage_file(found.quota())))


def test_without_cgroups_all_cpus_of_the_affinity_are_allowed(tmp_path):
    assert allowed_cpus(write(tmp_path, machine(cpus=4, allowed="1-2"))) == 2.0


def test_without_any_kernel_files_the_number_of_cpus_is_asked_elsewhere(tmp_path):
    assert allowed_cpus(tmp_path) >= 1.0


def test_on_this_machine_at_least_a_part_of_a_cpu_is_allowed():
    assert allowed_cpus() > 0


@pytest.mark.parametrize(
    ("quota", "cpus"), [("50000 100000", 0.5), ("250000 100000", 2.5), ("900000 100000", 4.0), ("max 100000", 4.0)]
)
def test_a_quota_of_version_2_is_a_number_of_cpus(tmp_path, quota, cpus):
    assert allowed_cpus(write(tmp_path, machine() | version_2() | {"sys/fs/cgroup/app/cpu.max": quota})) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [(50000, 0.5), (150000, 1.5), (-1, 4.0)])
def test_a_quota_of_version_1_is_a_number_of_cpus(tmp_path, quota, cpus):
    files = {f"{CPU_1}/docker/abc/cpu.cfs_quota_us": quota, f"{CPU_1}/docker/abc/cpu.cfs_period_us": 100000}
    assert allowed_cpus(write(tmp_path, machine() | version_1() | files)) == cpus


def test_a_quota_of_a_parent_holds_too(tmp_path):
    files = {
        "sys/fs/cgroup/a.slice/cpu.max": "100000 100000",
        "sys/fs/cgroup/a.slice/b.service/cpu.max": "300000 100000",
        "sys/fs/cgroup/a.slice/cpu.stat": "usage_usec 9000000",
        "sys/fs/cgroup/a.slice/b.service/cpu.stat": "usage_usec 1000000",
    }
    root = write(tmp_path, machine() | version_2(own="/a.slice/b.service") | files)
    assert allowed_cpus(root) == 1.0
    assert seconds_of(root) == 9.0, "what counts against a parent's quota is the parent's use"


def test_a_cpuset_limits_the_cpus(tmp_path):
    files = {"sys/fs/cgroup/app/cpuset.cpus.effective": "0,2-3"}
    assert allowed_cpus(write(tmp_path, machine() | version_2() | files)) == 3.0


def test_an_empty_cpuset_of_version_1_is_taken_from_the_parent(tmp_path):
    files = {"sys/fs/cgroup/cpuset/docker/abc/cpuset.cpus": "", "sys/fs/cgroup/cpuset/docker/cpuset.cpus": "0-1"}
    assert allowed_cpus(write(tmp_path, machine() | version_1() | files)) == 2.0


def test_in_a_container_with_a_namespace_the_mount_point_is_our_cgroup(tmp_path):
    files = {"sys/fs/cgroup/cpu.max": "150000 100000", "sys/fs/cgroup/cpu.stat": "usage_usec 2500000\nuser_usec 1"}
    root = write(tmp_path, machine() | version_2(own="/") | files)
    assert allowed_cpus(root) == 1.5
    assert seconds_of(root) == 2.5


@pytest.mark.parametrize(
    ("own", "mounted"), [("/docker/abc", "/docker/abc"), ("/../other", "/"), ("/x", "/docker/abc")]
)
def test_in_a_container_without_a_namespace_the_mount_point_is_our_cgroup(tmp_path, own, mounted):
    files = {
        f"{CPU_1}/cpu.cfs_quota_us": 100000,
        f"{CPU_1}/cpu.cfs_period_us": 100000,
        f"{CPU_1}/cpuacct.usage": 3_000_000_000,
    }
    root = write(tmp_path, machine() | version_1(own, mounted) | files)
    assert allowed_cpus(root) == 1.0
    assert seconds_of(root) == 3.0


def test_memory_against_a_limit_of_version_2_leaves_out_the_cache_that_can_be_dropped(tmp_path):
    files = {
        "sys/fs/cgroup/app/memory.max": 2 * GIB,
        "sys/fs/cgroup/app/memory.high": "max",
        "sys/fs/cgroup/app/memory.current": GIB,
        "sys/fs/cgroup/app/memory.stat": f"anon 1\ninactive_file {GIB // 2}",
    }
    assert memory_of(write(tmp_path, machine() | version_2() | files)) == Memory(GIB // 2, 2 * GIB)


def test_memory_against_a_limit_of_version_1(tmp_path):
    files = {
        f"{MEMORY_1}/docker/abc/memory.limit_in_bytes": GIB,
        f"{MEMORY_1}/docker/abc/memory.usage_in_bytes": GIB // 2,
        f"{MEMORY_1}/docker/abc/memory.stat": f"inactive_file 1\ntotal_inactive_file {GIB // 4}",
        f"{MEMORY_1}/memory.limit_in_bytes": 9223372036854771712,
    }
    assert memory_of(write(tmp_path, machine() | version_1() | files)) == Memory(GIB // 4, GIB)


def test_of_several_memory_limits_the_one_nearest_to_its_line_counts(tmp_path):
    files = {
        "sys/fs/cgroup/a/memory.max": 4 * GIB,
        "sys/fs/cgroup/a/memory.current": 3 * GIB,
        "sys/fs/cgroup/a/b/memory.max": 2 * GIB,
        "sys/fs/cgroup/a/b/memory.current": GIB,
    }
    assert memory_of(write(tmp_path, machine() | version_2("/a/b") | files)) == Memory(3 * GIB, 4 * GIB)


def test_without_a_limit_the_machines_memory_counts(tmp_path):
    root = write(tmp_path, machine() | version_2() | {"sys/fs/cgroup/app/memory.max": "max"})
    assert memory_of(root) == Memory(4 * GIB, 16 * GIB)


def test_without_kernel_files_the_machines_memory_is_asked_elsewhere(tmp_path):
    memory = read_machine(KeptFile(tmp_path / "proc/meminfo"))
    assert 0 < memory.used < memory.total


def test_a_list_of_cpus_may_mix_numbers_and_ranges():
    assert cgroup.parse_cpu_list("0-2,5,8-9\n") == {0, 1, 2, 5, 8, 9}
