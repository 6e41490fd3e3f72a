"""A host with one process never runs two jobs, whoever enqueues, however many coordinators there are."""

import signal
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from rq import Queue
from rq.job import Job

from farm.store.connection import connect
from tests.support.farm import Farm
from tests.support.waiting import wait_until
from tests.support.watched_capacity import watched

JOBS, CLIENTS, COORDINATORS = 50, 10, 5


def enqueue_at_once(farm: Farm, count: int, seconds: float) -> list[Job]:
    """Jobs of several clients, all at the same time."""

    def enqueue(client: int) -> list[Job]:
        with connect(farm.url) as connection:
            queue = Queue("default", connection=connection)
            numbers = range(client, count, CLIENTS)
            return [queue.enqueue("system_jobs.take_turn", number, seconds) for number in numbers]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [job for jobs in clients.map(enqueue, range(CLIENTS)) for job in jobs]


def assert_one_after_the_other(farm: Farm, count: int) -> None:
    turns = [text.decode() for text in farm.redis.lrange("test:turns", 0, -1)]
    begun = [turn.removeprefix("begin ") for turn in turns[::2]]
    assert turns == [f"{what} {number}" for number in begun for what in ("begin", "end")], "two jobs ran at once"
    assert sorted(map(int, begun)) == list(range(count))


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "strategy", ["default", "round_robin"], ids=["the host takes its jobs by itself", "coordinators place all of them"]
)
def test_of_50_jobs_at_once_no_two_run_at_once_and_none_is_lost(farm: Farm, strategy: str) -> None:
    for _ in range(COORDINATORS):
        farm.coordinator()
    farm.host("one", standby_coordinator=False, dequeue_strategy=strategy)
    with watched(farm.url, ["one"]) as seen:
        jobs = enqueue_at_once(farm, JOBS, 0.1)
        # the leader stands still until another leads, and then believes for a moment that it still does
        before = farm.wait_for_leader()
        leader = psutil.Process(int(before.rpartition("-")[2]))
        leader.send_signal(signal.SIGSTOP)
        wait_until(lambda: farm.wait_for_leader() != before, "another coordinator leads", 20)
        leader.send_signal(signal.SIGCONT)
        farm.wait_for(*jobs, timeout=60)

    assert_one_after_the_other(farm, JOBS)
    assert farm.count("finished") == JOBS
    assert farm.waiting() == []
    assert seen.excesses == []
    assert seen.looks > 20
    assert seen.most_held["one"] >= 1


@pytest.mark.timeout(120)
@pytest.mark.slow
def test_a_load_function_that_is_full_with_one_job_under_strict_admission_changes_nothing(farm: Farm) -> None:
    for _ in range(COORDINATORS):
        farm.coordinator()
    farm.host("one", standby_coordinator=False, app="limit_of_one")
    with watched(farm.url, ["one"]) as seen:
        jobs = enqueue_at_once(farm, 12, 0.7)
        farm.wait_for(*jobs, timeout=90)

    assert_one_after_the_other(farm, 12)
    assert farm.count("finished") == 12
    assert farm.waiting() == []
    assert seen.most_held["one"] == 1
