"""A host whose machine has no more to give, or is a bare container: it waits or works, and says what is missing."""

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm import host as farm_host
from farm.tether import tethered
from tests.support.farm import SHORT_TIMES, Farm, Member
from tests.support.waiting import wait_out, wait_until

CGROUPS = Path("/sys/fs/cgroup")
StartBy = Callable[..., None]


@pytest.fixture
def start_by(monkeypatch: pytest.MonkeyPatch) -> StartBy:
    """Lets the members of a farm be started by another command: its words come before theirs."""

    def use(*words: str) -> None:
        monkeypatch.setattr("tests.support.farm.tethered", lambda command: tethered([*words, *command]))

    return use


def in_shell(script: str) -> tuple[str, ...]:
    """Words that run `script`, and then what follows them."""
    return ("sh", "-c", f'{script}; exec "$@"', "sh")


def cgroup(controller: str) -> Iterator[Path]:
    folder = CGROUPS / controller / f"rq-farm-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup of version 1 with the controller {controller} can be made here: {error}")
    yield folder
    wait_until(lambda: not (folder / "cgroup.procs").read_text(), "the cgroup is empty")
    folder.rmdir()


@pytest.fixture
def pids_cgroup() -> Iterator[Path]:
    yield from cgroup("pids")


@pytest.fixture
def freezer_cgroup() -> Iterator[Path]:
    yield from cgroup("freezer")


@pytest.fixture
def cpu_cgroup() -> Iterator[Path]:
    yield from cgroup("cpu")


def works(name: str, *flags: str) -> None:
    tried = shutil.which(name) and subprocess.run([name, *flags, "true"], capture_output=True, check=False)
    if not tried or tried.returncode:
        pytest.skip(f"`{name} {' '.join(flags)}` is not possible here")


def idle_pids(farm: Farm) -> list[int]:
    with farm_host("one", farm.url) as handle:
        return [process.pid for process in handle.processes]


def assert_does_not_spin(host: Member) -> None:
    process = psutil.Process(host.pid)
    used = sum(process.cpu_times()[:2])
    wait_out(2)
    assert sum(process.cpu_times()[:2]) - used < 1


def test_a_host_whose_log_finds_no_room_on_the_disk_runs_jobs(farm: Farm, start_by: StartBy) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    start_by(*in_shell("exec > /dev/full 2>&1"))
    host = farm.host(log_jobs="all")

    jobs = farm.enqueue_many("add", [(1, 2)] * 20)

    farm.wait_for(*jobs)
    assert host.stop() == 0


@pytest.mark.slow
def test_a_host_without_descriptors_waits_for_some_and_goes_on(farm: Farm) -> None:
    host = farm.host(threshold=1)
    pid = int(farm.published("one")["pid"])
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    (idle,) = idle_pids(farm)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (8, before[1]))  # those that are open stay
    try:
        os.kill(idle, signal.SIGKILL)
        job = farm.enqueue("add", 1, 2)
        wait_until(lambda: "Too many open files" in host.says, "the host says what is missing")
        assert_does_not_spin(host)
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    assert farm.wait_for(job, timeout=40).return_value() == 3
    farm.wait_for_state("one", "available")
    assert farm.count("crashed") == 0


@pytest.mark.slow
def test_a_host_that_may_have_no_more_processes_waits_and_goes_on(
    pids_cgroup: Path, farm: Farm, start_by: StartBy
) -> None:
    start_by(*in_shell(f"echo $$ > {pids_cgroup}/cgroup.procs"))
    host = farm.host(threshold=1)
    (pids_cgroup / "pids.max").write_text("1")
    try:
        for pid in idle_pids(farm):
            os.kill(pid, signal.SIGKILL)
        jobs = [farm.enqueue("add", 1, 2) for _ in range(3)]
        wait_until(
            lambda: "Resource temporarily unavailable" in farm.published("one")["reason"], "the host says why", 30
        )
        assert_does_not_spin(host)
    finally:
        (pids_cgroup / "pids.max").write_text("max")

    farm.wait_for(*jobs, timeout=40)
    farm.wait_for_state("one", "available")
    assert farm.count("crashed") == 0


@pytest.mark.slow
def test_a_host_counts_the_cpus_that_its_cgroup_allows(cpu_cgroup: Path, farm: Farm, start_by: StartBy) -> None:
    (cpu_cgroup / "cpu.cfs_period_us").write_text("100000")
    (cpu_cgroup / "cpu.cfs_quota_us").write_text("50000")
    start_by(*in_shell(f"echo $$ > {cpu_cgroup}/cgroup.procs"))
    farm.host()

    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
    assert farm.published("one")["cpu_count"] == "0.5"


@pytest.mark.slow
def test_a_host_works_as_a_user_without_name_and_home(farm: Farm, start_by: StartBy) -> None:
    flags = ("--user", "--map-user=54321", "--map-group=54321")
    works("unshare", *flags)
    del farm.environment["HOME"], farm.environment["XDG_STATE_HOME"]
    start_by("unshare", *flags)
    farm.host()

    assert farm.wait_for(farm.queue().enqueue("os.getuid")).return_value() == 54321


@pytest.mark.slow
def test_a_host_works_as_the_first_process_of_a_read_only_container(farm: Farm, start_by: StartBy) -> None:
    """No folder to write to, no shared memory, no HOME; all orphans are its own."""
    flags = ("--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    works("unshare", *flags)
    del farm.environment["HOME"], farm.environment["XDG_STATE_HOME"]
    start_by("unshare", *flags, *in_shell("umount -l /dev/shm; mount -o remount,bind,ro / || exit 9"))
    host = farm.host()

    assert farm.published("one")["pid"] == "1"
    assert farm.wait_for(farm.queue().enqueue("hostile_jobs.leave_orphans", 5)).return_value() == "read-only"
    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
    wait_until(lambda: not zombies(host.pid), "no zombie is left")
    (first,) = psutil.Process(host.pid).children()
    first.send_signal(signal.SIGTERM)
    assert host.wait() == 0


def zombies(pid: int) -> list[int]:
    children = psutil.Process(pid).children(recursive=True)
    return [child.pid for child in children if child.status() == psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_a_machine_that_slept_writes_nothing_of_jobs_that_run_elsewhere(
    freezer_cgroup: Path, farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        words = in_shell(f"echo $$ > {freezer_cgroup}/cgroup.procs")
        patched.setattr("tests.support.farm.tethered", lambda command: tethered([*words, *command]))
        farm.host("one", **SHORT_TIMES)
    jobs = [farm.enqueue("count_and_pause", 3) for _ in range(2)]
    wait_until(lambda: farm.redis.hlen("test:effects") == 1, "a job runs")
    identity = farm.published("one")["identity"]

    state = freezer_cgroup / "freezer.state"
    state.write_text("FROZEN")
    try:
        farm.host("two", **SHORT_TIMES)
        farm.wait_for(*jobs, timeout=30)
    finally:
        state.write_text("THAWED")

    farm.wait_for_identity_after(identity, timeout=20)
    farm.wait_for_state("one", "available")
    assert [farm.redis.xlen(f"rq:results:{job.id}") for job in jobs] == [1, 1]
    assert farm.count("finished") == 2
    assert all(int(times) <= 2 for times in farm.redis.hvals("test:effects"))
