"""An idle process waits for the next job itself: nothing is lost or run twice, whoever of those in between fails."""

import os
import signal

import pytest
from rq.command import send_stop_job_command

from tests.support.farm import Farm
from tests.support.lent_watches import (
    begin_while_its_host_stands_still,
    wait_until_lent,
    wait_until_the_host_waits,
    waiting,
)
from tests.support.waiting import wait_until


def runs(farm: Farm, job_id: str) -> int:
    return int(farm.redis.hget("test:runs", job_id) or 0)


def test_a_job_begins_while_its_host_and_the_coordinator_stand_still(farm: Farm) -> None:
    host = farm.host("one", processes=2)
    wait_until_lent(farm)

    job = begin_while_its_host_stands_still(farm, host)
    farm.go()

    assert farm.wait_for(job).return_value() == "went"
    assert farm.count("finished") == 1


def test_the_next_process_waits_while_the_first_is_at_work(farm: Farm) -> None:
    farm.host("one", processes=3)

    jobs = []
    for _ in range(3):
        wait_until_lent(farm)
        jobs.append(farm.enqueue("wait_for_go"))
        farm.pid_of(jobs[-1])
    wait_until(lambda: not waiting(farm), "none waits, as all are at work")
    farm.go()

    farm.wait_for(*jobs)
    wait_until_lent(farm)


def test_what_cuts_the_connection_of_the_process_loses_no_job_and_runs_none_twice(farm: Farm) -> None:
    farm.host("one", processes=2)
    wait_until_lent(farm)

    jobs = []
    for _ in range(20):
        for client in waiting(farm):
            farm.redis.client_kill_filter(_id=client)
        jobs.append(farm.enqueue("count_run"))
    farm.wait_for(*jobs)

    assert [runs(farm, job.id) for job in jobs] == [1] * len(jobs)


def test_a_process_that_is_killed_while_it_waits_takes_no_job_with_it(farm: Farm) -> None:
    farm.host("one", processes=2)
    jobs = []
    for number in range(3):
        known = [farm.enqueue("wait_for_go", f"test:go{number}") for _ in range(2)]
        pids = [farm.pid_of(job) for job in known]
        farm.go(f"test:go{number}")
        farm.wait_for(*known)
        wait_until_lent(farm)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        jobs.append(farm.enqueue("count_run"))
        farm.wait_for(jobs[-1])

    assert [runs(farm, job.id) for job in jobs] == [1, 1, 1]
    assert farm.count("crashed") == 0


def test_a_job_that_ends_its_process_before_the_host_heard_of_it_counts_as_crashed(farm: Farm) -> None:
    host = farm.host("one", processes=2)
    wait_until_lent(farm)

    host.send(signal.SIGSTOP)
    try:
        job = farm.enqueue("die_until", 1)
        wait_until(lambda: runs(farm, job.id) == 1, "it ran")
    finally:
        host.send(signal.SIGCONT)

    assert farm.wait_for(job).return_value() == 2
    assert farm.count("crashed") == 1


def test_a_job_that_a_process_took_itself_is_stopped_on_request(farm: Farm) -> None:
    farm.host("one", processes=2)
    wait_until_lent(farm)
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)

    send_stop_job_command(farm.redis, job.id)

    farm.wait_for(job, status="stopped")


@pytest.mark.parametrize("times", range(3))
def test_jobs_that_come_while_a_host_drains_run_once_or_stay_in_their_queue(farm: Farm, times: int) -> None:
    farm.coordinator()
    host = farm.host("one", processes=2, standby_coordinator=False)
    wait_until_lent(farm)

    jobs = [farm.enqueue("count_run") for _ in range(3)]
    host.send(signal.SIGTERM)
    jobs += [farm.enqueue("count_run") for _ in range(10)]
    assert host.wait() == 0

    # What came to it in its last moment, the coordinator gives back.
    wait_until(lambda: set(farm.statuses(jobs)) <= {"finished", "queued"}, "each has run, or waits")
    ran = [job.id for job in jobs if farm.status(job) == "finished"]
    assert sorted(farm.waiting()) == sorted(job.id for job in jobs if job.id not in ran)
    assert [runs(farm, job.id) for job in jobs] == [int(job.id in ran) for job in jobs]


def test_a_queue_that_no_process_is_left_for_is_watched_by_the_host(farm: Farm) -> None:
    farm.host("one", queues="high,low", processes=1)
    wait_until_lent(farm)

    for queue in ("high", "low", "high"):
        job = farm.enqueue_many("count_run", [()], queue=queue)[0]
        farm.wait_for(job)
        assert runs(farm, job.id) == 1


def test_a_host_with_threads_waits_itself(farm: Farm) -> None:
    farm.host("one", processes=2, executor="thread")

    wait_until_the_host_waits(farm)

    farm.wait_for(farm.enqueue("add", 1, 2))

    assert not waiting(farm)
