"""What becomes of running jobs when their host stops: who cleans up, who runs again, how long that takes at most."""

import signal
import time

import pytest
from rq.job import Job

from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from farm_worker.drain import ENDING_SECONDS
from tests.support.farm import Farm
from tests.support.killed_redis import standing_still
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def begun(farm: Farm, function: str, *arguments: object, **options: object) -> Job:
    """A job of `stopped_jobs` that runs."""
    job = farm.queue().enqueue(f"stopped_jobs.{function}", *arguments, **options)
    wait_until(lambda: farm.redis.hexists("test:begun", job.id), f"{function} runs", 15)
    return job


def cleaned(farm: Farm) -> list[str]:
    """What jobs and processes noted while they ended."""
    return [text.decode() for text in farm.redis.lrange("test:cleaned", 0, -1)]


def drains(farm: Farm, job: Job) -> int:
    return int(farm.redis.hget(RQ_KEYS.job(job.id), "farm_drains") or 0)


def nothing_is_lost(farm: Farm, jobs: list[Job]) -> None:
    """Each job is done, or waits, in order; no host is left."""
    statuses = farm.statuses(jobs)
    assert set(statuses) <= {"queued", "finished"}
    assert farm.waiting() == [job.id for job, status in zip(jobs, statuses, strict=True) if status == "queued"]
    assert not farm.redis.hexists(KEYS.identities, "one")


def test_at_the_deadline_all_that_a_job_and_its_process_have_to_clean_up_runs_each_isolated(farm: Farm) -> None:
    host = farm.host("one", processes=2, app="stopped_jobs", drain_timeout=0.5, close_timeout=4)
    job = begun(farm, "clean_up")
    coroutine = begun(farm, "clean_up_later")

    assert host.stop() == 0

    said = cleaned(farm)
    assert [word for word in said if word in ("finally", "last", "hang", "first")].count("finally") == 2
    assert said.index("last") < said.index("hang") < said.index("first"), "the last one first, each of them"
    assert said.count("async callback") == 1
    assert said.count("teardown inner") >= 1
    assert said.count("teardown outer") >= 1, "one that hangs and one that raises leave the others their time"
    assert "swallowed" not in said, "a job that handles exceptions lets an interruption through"
    assert sorted(farm.waiting()) == sorted([job.id, coroutine.id])
    assert [farm.status(job), farm.status(coroutine)] == ["queued", "queued"]
    assert [farm.count(what) for what in ("drained", "crashed", "failed", "recovered")] == [2, 0, 0, 0]
    assert farm.events("process.ended") == []


@pytest.mark.slow
def test_a_job_that_refuses_to_end_is_killed_and_goes_back_like_the_others(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=0.5, close_timeout=1)
    job = begun(farm, "refuse")

    began = time.monotonic()
    assert host.stop() == 0
    assert time.monotonic() - began < 10

    assert cleaned(farm)[:1] == ["refused"]
    assert farm.waiting() == [job.id]
    assert [farm.count("drained"), farm.count("crashed"), drains(farm, job)] == [1, 0, 1]


def test_a_job_that_ends_well_when_it_is_interrupted_is_done(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=0.5)
    job = begun(farm, "end_well")

    assert host.stop() == 0

    assert farm.fetch(job).return_value() == "what there was"
    assert farm.waiting() == []
    assert farm.count("drained") == 0


@pytest.mark.slow
def test_threads_are_interrupted_as_processes_are(farm: Farm) -> None:
    host = farm.host("one", processes=2, executor="thread", drain_timeout=0.5, close_timeout=2)
    coroutine = begun(farm, "clean_up_later")
    well = begun(farm, "end_well")
    assert host.send(signal.SIGTERM) is None
    # A thread that sleeps hears of it when the sleep is over: it is ended with its process.
    assert host.wait() == 0

    assert "async callback" in cleaned(farm)
    assert sorted(farm.waiting()) == sorted([coroutine.id, well.id])
    assert farm.count("crashed") == 0


def test_a_second_request_leaves_jobs_a_moment_and_ends_the_host_within_seconds(farm: Farm) -> None:
    host = farm.host("one", processes=2)
    clean, refusing = begun(farm, "clean_up", ["first"]), begun(farm, "refuse")
    host.send(signal.SIGTERM)
    farm.wait_for_state("one", "draining")
    assert cleaned(farm) == [], "so far they are let be"

    began = time.monotonic()
    host.send(signal.SIGINT)
    assert host.wait() == 0
    assert time.monotonic() - began < 6, "a second for the jobs, and little for all else"

    assert "finally" in cleaned(farm)
    assert "first" in cleaned(farm)
    assert sorted(farm.waiting()) == sorted([clean.id, refusing.id])
    assert farm.count("drained") == 2


def test_a_job_that_must_not_run_twice_fails_as_drained(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=0.5, on_lost="fail")
    job = begun(farm, "clean_up", ["first"])

    assert host.stop() == 0

    assert farm.status(job) == "failed"
    assert "The host was stopped while it ran the job" in farm.error_of(job)
    assert cleaned(farm) == ["finally", "first"]
    assert [farm.count("drained"), farm.count("failed"), farm.count("crashed")] == [0, 1, 0]


@pytest.mark.slow
def test_a_jobs_own_timeout_ends_the_wait_for_it(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=600)
    job = begun(farm, "clean_up_later", job_timeout=3)

    assert host.stop(30) == 0

    assert farm.status(job) == "failed"
    assert "JobTimeoutException" in farm.error_of(job)
    assert farm.count("drained") == 0


def test_the_next_run_of_a_drained_job_is_the_same_attempt(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=0.2)
    job = begun(farm, "run_once_until_interrupted")
    host.stop()
    assert drains(farm, job) == 1

    again = farm.host("one")

    farm.wait_for(job)
    assert farm.fetch(job).return_value() == 1
    assert again.stop() == 0


def test_a_stock_worker_takes_over_what_a_drained_host_gave_back(farm: Farm) -> None:
    host = farm.host("one", drain_timeout=0.2)
    job = begun(farm, "run_once_until_interrupted")
    waiting = farm.enqueue("add", 1, 2)

    assert host.stop() == 0
    assert farm.waiting() == [job.id, waiting.id]
    stock = farm.stock_worker()

    assert stock.returncode == 0, stock.stderr
    assert farm.fetch(job).return_value() == "stock"
    assert farm.fetch(waiting).return_value() == 3


@pytest.mark.parametrize(
    "seconds", [0.7, *(pytest.param(seconds / 5, marks=pytest.mark.slow) for seconds in range(1, 13))]
)
def test_a_host_that_is_asked_to_stop_while_it_comes_up_ends_cleanly(farm: Farm, seconds: float) -> None:
    """While it imports, registers, starts its template or warms up."""
    jobs = farm.enqueue_many("add", [(number, 1) for number in range(20)])
    host = farm.host("one", ready=False)
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > seconds, "it came so far")

    host.send(signal.SIGTERM)

    code = host.wait(15)
    assert code == 0 or (code == -signal.SIGTERM and not host.says), "only before its first line it dies of the signal"
    nothing_is_lost(farm, jobs)


@pytest.mark.parametrize("finished", [60, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 10, 300, 1000))])
def test_a_host_that_is_asked_to_stop_amid_short_jobs_loses_none(farm: Farm, finished: int) -> None:
    """While batches are started and outcomes written."""
    jobs = farm.enqueue_many("add", [(number, 1) for number in range(2000)])
    host = farm.host("one", processes=2, ready=False)
    wait_until(lambda: farm.count("finished") >= finished, "some are done", 30)

    host.send(signal.SIGTERM)

    assert host.wait(15) == 0
    nothing_is_lost(farm, jobs)
    assert farm.statuses(jobs).count("finished") == farm.count("finished")
    assert farm.count("drained") == 0


@pytest.mark.slow
def test_a_stop_ends_in_its_time_whatever_hangs(own_farm: Farm, own_redis: RedisServer) -> None:
    """Redis does not answer, a job refuses to end, teardowns hang."""
    host = own_farm.host("one", app="stopped_jobs", drain_timeout=1, close_timeout=2)
    begun(own_farm, "refuse")
    with standing_still(own_redis):
        began = time.monotonic()
        host.send(signal.SIGTERM)
        host.wait(60)
        took = time.monotonic() - began

    print(f"the stop took {took:.1f} s")
    assert host.process.returncode == 0
    assert took <= 1 + 2 + ENDING_SECONDS + 2


def test_a_terminals_interrupt_reaches_the_whole_group_and_lets_jobs_end(farm: Farm) -> None:
    host = farm.host("one")
    job = farm.enqueue("wait_for_go")
    farm.pid_of(job)

    for process in host.tree():
        process.send_signal(signal.SIGINT)
    farm.wait_for_state("one", "draining")
    farm.go()

    assert host.wait() == 0
    assert farm.status(job) == "finished"
