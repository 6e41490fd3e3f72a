"""What a job leaves in a pool: the next job sees none of it, and nothing goes on running."""

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest
from rq.job import Job

from farm import host as farm_host
from tests.support.farm import Farm
from tests.support.waiting import wait_until

FORKED = 2**7 - 1
"""What a job that forks two, each of which forks two, has made six generations later."""


def run(farm: Farm, function: str, *arguments: Any, timeout: float = 60.0) -> Job:
    return farm.wait_for(farm.queue().enqueue(f"around_jobs.{function}", *arguments), timeout=timeout)


@pytest.mark.parametrize("process_mode", ["reuse", "fresh"])
def test_the_next_job_sees_nothing_of_a_job_that_leaves_all_it_can(
    farm: Farm, tmp_path: Path, process_mode: str
) -> None:
    """It starts a daemon, closes descriptors, prints 1 GB, changes folder, environment and more, leaves a thread."""
    host = farm.host(process_mode=process_mode, threshold=1)
    processes = farm.processes_at_rest(host)
    before = run(farm, "look_around").return_value()
    assert run(farm, "everything", str(tmp_path), 1000).return_value() == "done"
    after = run(farm, "look_around").return_value()

    assert after.pop("pid") != before.pop("pid")
    assert {**after, "output": 0} == {**before, "output": 0}  # another process, other pipes
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
    wait_until(lambda: len(host.tree()) == len(processes), "the host has the processes that it had")
    assert farm.count("crashed") == 0


def test_a_process_that_a_job_left_dirty_is_replaced_without_an_alarm(farm: Farm) -> None:
    farm.host(threshold=1)
    for _ in range(3):
        run(farm, "leave_thread", None)
    assert run(farm, "add", 1, 2).return_value() == 3
    assert farm.events("process.ended") == []


def test_a_host_survives_a_job_that_closes_all_descriptors(farm: Farm) -> None:
    farm.host(threshold=1, max_crashes=1)
    job = farm.queue().enqueue("around_jobs.close_all")
    farm.wait_for(job, status="failed")
    assert run(farm, "add", 1, 2).return_value() == 3


@pytest.mark.parametrize("ended_by", [pytest.param("its limit", marks=pytest.mark.slow), "a kill"])
def test_a_job_that_forks_without_end_leaves_nothing_and_the_host_lives_on(
    farm: Farm, tmp_path: Path, ended_by: str
) -> None:
    host = farm.host(threshold=1, max_crashes=1, close_timeout=1)
    processes = farm.processes_at_rest(host)
    seconds = 6 if ended_by == "its limit" else 60
    job = farm.queue().enqueue("around_jobs.fork_without_end", str(tmp_path / "pids"), 6, job_timeout=seconds)
    pids = tmp_path / "pids"
    wait_until(lambda: pids.exists() and len(pids.read_text().split()) == FORKED, "all run", 30)
    if ended_by == "a kill":
        with farm_host("one", farm.url) as handle:
            process = wait_until(lambda: handle.job(job.id), "the process is said to run it")
        os.kill(process.pid, signal.SIGKILL)

    farm.wait_for(job, status="failed", timeout=40)
    assert run(farm, "add", 1, 2).return_value() == 3
    wait_until(lambda: not any(map(psutil.pid_exists, map(int, pids.read_text().split()))), "all that is gone", 30)
    wait_until(lambda: len(host.tree()) == len(processes), "the host has the processes that it had")
