"""Hosts that leave by themselves: only when nothing waits for them, and what comes too late waits for the next."""

import time
from pathlib import Path

from farm.client import Client
from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def test_a_host_that_had_nothing_to_do_for_so_long_drains_and_ends_well(farm: Farm) -> None:
    job = farm.enqueue("note", "a job keeps it", 0.5)
    host = farm.host("one", exit_when_idle=2, ready=False)
    farm.wait_for(job)
    ended = time.monotonic()

    assert host.wait(40) == 0
    assert time.monotonic() - ended >= 1.5
    assert "idle for 2 s" in host.says
    assert [event["host"] for event in farm.events("host.left")] == ["one"]
    assert farm.published("one") == {}


def test_a_host_that_runs_something_for_longer_than_that_is_not_idle(farm: Farm) -> None:
    job = farm.enqueue("wait_for_go")
    host = farm.host("one", exit_when_idle=1, ready=False)
    farm.pid_of(job, 30)
    wait_out(2.5)
    assert host.process.poll() is None
    farm.go()
    farm.wait_for(job)
    assert host.wait(40) == 0


def test_a_host_does_not_leave_while_jobs_wait_that_it_may_yet_run(farm: Farm, tmp_path: Path) -> None:
    load = tmp_path / "load"
    load.write_text("1.0")
    farm.environment["LOAD_FILE"] = str(load)
    job = farm.enqueue("add", 1, 2)
    host = farm.host("one", ready=False, app="load_from_file", exit_when_idle=1)
    farm.wait_for_state("one", "full")
    wait_until(lambda: farm.redis.exists(KEYS.deferral("default")), "the queue is deferred")
    wait_out(3)
    assert host.process.poll() is None, host.says

    load.write_text("0.1")
    assert farm.wait_for(job).return_value() == 3
    assert host.wait(40) == 0


def test_a_job_that_requires_what_the_host_has_not_keeps_it_from_nothing(farm: Farm) -> None:
    with Client(farm.url) as client:
        job = client.queue(requires=["gpu"]).enqueue("system_jobs.add", 1, 2)
    host = farm.host("one", exit_when_idle=2, ready=False)

    assert host.wait(40) == 0
    assert farm.waiting() == [job.id]


def test_a_suspended_host_does_not_leave_what_waits(farm: Farm) -> None:
    farm.redis.set(RQ_KEYS.suspended, 1, ex=60)
    job = farm.enqueue("add", 1, 2)
    host = farm.host("one", exit_when_idle=1, ready=False)
    farm.wait_for_state("one", "available")
    wait_out(3)
    assert host.process.poll() is None, host.says

    farm.redis.delete(RQ_KEYS.suspended)
    farm.wait_for(job)
    assert host.wait(40) == 0


def test_the_last_host_leaves_what_comes_later_in_its_queue_for_whoever_is_next(farm: Farm) -> None:
    for member in [farm.host(name, exit_when_idle=1, ready=False) for name in ("one", "two")]:
        assert member.wait(40) == 0
    jobs = farm.enqueue_many("note", [(str(number),) for number in range(4)])

    assert farm.waiting() == [job.id for job in jobs]
    third = farm.host("three", flags=["--exit-when-idle=1"], ready=False)
    farm.wait_for(*jobs, timeout=40)
    assert farm.notes() == ["0", "1", "2", "3"]
    assert third.wait(40) == 0


def test_jobs_that_come_in_the_moment_in_which_a_host_leaves_are_not_lost(farm: Farm) -> None:
    """Some run there, others wait in their queue, in order; none is anywhere else."""
    host = farm.host("one", exit_when_idle=0.2, ready=False)
    jobs = []
    while host.process.poll() is None:
        jobs.append(farm.enqueue("note", str(len(jobs))))
        pause = 0.19 + 0.005 * (len(jobs) % 5)  # around the time after which it leaves
        wait_out(pause)
        assert len(jobs) < 400
    assert host.wait(5) == 0

    finished = farm.statuses(jobs).count("finished")
    assert farm.waiting() == [job.id for job in jobs[finished:]]
    assert farm.statuses(jobs[finished:]) == ["queued"] * (len(jobs) - finished)
    assert farm.notes() == [str(number) for number in range(finished)]
