"""A process that ends in the middle of its job: the job runs again, fails with the reason, or is stopped as asked."""

import os
import signal

import pytest
from rq.command import send_stop_job_command

from farm.keys import RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

RQ_KEYS = RqKeys()

pytestmark = pytest.mark.usefixtures("logs_of_shared_farm")


@pytest.fixture
def farm(clean_shared_farm: Farm) -> Farm:
    return clean_shared_farm


def ends_of(farm: Farm, job_id: str) -> list[str]:
    """Reasons of the processes that ended with this job."""
    return [event["reason"] for event in farm.events("process.ended") if event.get("job") == job_id]


@pytest.mark.parametrize(("how", "signal_or_code"), [("kill", "SIGKILL"), ("exit", "0")])
def test_a_job_whose_process_ended_runs_again(farm: Farm, how: str, signal_or_code: str) -> None:
    crashed = farm.count("crashed")

    job = farm.enqueue("die_until", 1, how)

    assert farm.wait_for(job).return_value() == 2, "the second attempt says so"
    assert farm.count("crashed") == crashed + 1
    wait_until(lambda: ends_of(farm, job.id), "the event")
    event = next(event for event in farm.events("process.ended") if event.get("job") == job.id)
    assert signal_or_code in (event.get("signal"), event.get("exit_code")), event


def test_a_job_that_crashes_three_processes_fails_with_the_reason(farm: Farm) -> None:
    poisoned = farm.count("poisoned")

    job = farm.enqueue("die_until", 9)

    farm.wait_for(job, status="failed")
    error = farm.error_of(job)
    assert error.startswith("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9)")
    assert f"while running job {job.id}" in error
    assert farm.redis.hget("test:runs", job.id) == b"3"
    assert farm.count("poisoned") == poisoned + 1
    event = next(event for event in farm.events("job.poisoned") if event["job"] == job.id)
    assert (event["queue"], event["crashes"]) == ("default", "3")
    assert "SIGKILL" in event["reason"]


def test_a_process_killed_from_outside_takes_only_its_job_with_it(farm: Farm) -> None:
    victim, bystander = farm.enqueue("wait_for_go"), farm.enqueue("wait_for_go")
    farm.pid_of(bystander)

    os.kill(farm.pid_of(victim), signal.SIGKILL)

    wait_until(lambda: farm.redis.hget(RQ_KEYS.job(victim.id), "farm_crashes") == b"1", "the crash is counted")
    farm.go()
    farm.wait_for(victim, bystander)
    assert not farm.redis.hexists(RQ_KEYS.job(bystander.id), "farm_crashes")


def test_a_process_killed_while_idle_is_replaced(farm: Farm) -> None:
    crashed = farm.count("crashed")
    jobs = [farm.enqueue("wait_for_go") for _ in range(3)]
    pids = {farm.pid_of(job) for job in jobs}
    farm.go()
    farm.wait_for(*jobs)
    wait_until(lambda: farm.published("one")["idle"] == "2" and farm.published("two")["idle"] == "1", "all are idle")

    for pid in pids:
        os.kill(pid, signal.SIGKILL)

    assert farm.wait_for(farm.enqueue("process_id")).return_value() not in pids
    assert farm.count("crashed") == crashed
    wait_until(lambda: farm.published("one")["idle"] == "2" and farm.published("two")["idle"] == "1", "all are back")


def test_a_job_is_stopped_by_the_command_of_rq(farm: Farm) -> None:
    crashed, stopped = farm.count("crashed"), farm.count("stopped")
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)

    send_stop_job_command(farm.redis, job.id)

    ended = farm.wait_for(job, status="stopped")
    assert "stopped by user" in farm.error_of(job)
    assert job.id in farm.queue().failed_job_registry.get_job_ids()
    assert ended.is_stopped
    assert (farm.count("crashed"), farm.count("stopped")) == (crashed, stopped + 1)


def test_a_job_over_its_time_fails(farm: Farm) -> None:
    job = farm.enqueue("overstay", job_timeout=1)
    farm.wait_for(job, status="failed")
    assert "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)" in farm.error_of(job)


@pytest.mark.slow  # the grace by default; tests/host/test_process_ends.py has the same with a grace of 1 s
def test_a_job_over_its_time_that_python_cannot_interrupt_is_killed(farm: Farm) -> None:
    crashed = farm.count("crashed")

    job = farm.enqueue("overstay_in_c", job_timeout=1)

    farm.wait_for(job, status="failed", timeout=30)  # 1 s, and 10 s of grace
    assert farm.error_of(job).startswith("Task exceeded maximum timeout value (1 seconds).")
    assert farm.count("crashed") == crashed
    wait_until(lambda: ends_of(farm, job.id) == ["job_timeout"], "the event")
    assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
