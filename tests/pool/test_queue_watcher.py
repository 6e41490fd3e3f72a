"""A process that its host lends a watch: it waits at Redis itself, and begins what comes."""

import itertools
import os
from collections.abc import Iterator

import psutil
import pytest
import redis
import redis.asyncio
from rq import Queue

from farm.store.hosts import Registration
from farm.store.queue_watch import QueueWatch, Taken, TakeRequest, request_name
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import Ready
from farm_worker.pool.watch_messages import Watch, Watched
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.coordinated import KEYS, RQ_KEYS, call, plant_host, queue_ids
from tests.support.outcomes import value
from tests.support.waiting import wait_until

WHO = Registration("a", "1-a")
LONG = 60.0
CLIENT_NAME = "farm-process-queue"


class LentWatches:
    """What a host would do for one process, of the queue `default`."""

    def __init__(self, url: str, client: redis.Redis, child: ChildHarness) -> None:
        self._url = url
        self._client = client
        self._child = child
        self._numbers = itertools.count(1)
        plant_host(client, "a")
        client.hset(KEYS.reserved, "default", "a|1-a")
        client.expire(KEYS.reserved, 60)

    def lend(self, seconds: float = LONG, *, token: bool = True) -> tuple[int, TakeRequest]:
        """Its sequence, and what it asks for."""
        request = TakeRequest(WHO, request_name(next(self._numbers)), 4)
        message = call(self._url, lambda client: self._watch(client).message(request, seconds))
        sequence = self._child.next_sequence()
        self._child.send_frame(Watch(sequence, message, 0.0))
        if token:
            self._child.send_tokens(sequence)
        return sequence, request

    def call_off(self, request: TakeRequest) -> Taken:
        return call(self._url, lambda client: self._watch(client).call_off(request, lambda _: None))

    def waiting(self) -> int:
        """Connections of processes that wait at the queue."""
        clients = self._client.client_list()
        return sum(one["name"] == CLIENT_NAME and one["cmd"] == "blmove" for one in clients)

    def wait_until_lent(self) -> None:
        wait_until(lambda: self.waiting() == 1, "the process waits at the queue")

    def _watch(self, client: redis.asyncio.Redis) -> QueueWatch:
        return QueueWatch(client, KEYS, RQ_KEYS, "default", ["default"], ["rerun"])


@pytest.fixture
def lent(redis_url: str, redis_client: redis.Redis, child: ChildHarness) -> LentWatches:
    return LentWatches(redis_url, redis_client, child)


def enqueue(queue: Queue, first: int = 1, second: int = 2) -> str:
    return str(queue.enqueue("jobs_under_test.add", first, second).id)


def test_it_tells_the_host_of_the_job_that_came_and_then_runs_it(
    child: ChildHarness, lent: LentWatches, queue: Queue
) -> None:
    sequence, _ = lent.lend()
    lent.wait_until_lent()
    job_id = enqueue(queue)

    said = child.receive(Watched)
    assert (said.sequence, said.kind, said.came, said.begun) == (sequence, "answered", True, True)
    assert said.reply[4][0] == job_id.encode()
    outcome = child.receive(Outcome)
    assert (outcome.sequence, value(outcome)) == (sequence, 3)
    assert child.peek() == 0


def test_it_uses_one_connection_for_all_of_its_watches(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    def connections() -> list[str]:
        return [one["id"] for one in redis_client.client_list() if one["name"] == CLIENT_NAME]

    lent.lend()
    lent.wait_until_lent()
    before = connections()
    for _ in range(3):
        enqueue(queue)
        child.receive(Watched)
        child.receive(Outcome)
        lent.lend()
        lent.wait_until_lent()

    assert connections() == before
    assert len(before) == 1


def test_all_that_came_after_the_first_job_is_the_hosts_to_deal(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    ids = [enqueue(queue, number) for number in range(3)]
    lent.lend()

    said = child.receive(Watched)

    assert [job[0].decode() for job in said.reply[4:]] == ids
    assert said.begun
    assert value(child.receive(Outcome)) == 2
    assert child.at_rest


def test_a_job_that_was_lost_before_is_left_to_the_host(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    job_id = enqueue(queue)
    redis_client.hset(f"rq:job:{job_id}", "farm_crashes", "1")
    lent.lend()

    said = child.receive(Watched)

    assert said.reply[4][0] == job_id.encode()
    assert not said.begun
    assert child.run(queue.enqueue("jobs_under_test.add", 2, 2)).kind == "finished"


def test_it_says_when_nothing_came(child: ChildHarness, lent: LentWatches) -> None:
    lent.lend(0.01)

    said = child.receive(Watched)

    assert (said.kind, said.came, said.begun) == ("answered", False, False)


def test_what_comes_after_the_host_took_the_watch_back_is_not_begun(
    child: ChildHarness, lent: LentWatches, queue: Queue
) -> None:
    sequence, request = lent.lend()
    lent.wait_until_lent()
    assert child.take_back() == [sequence]
    job_id = enqueue(queue)
    wait_until(lambda: lent.waiting() == 0, "the process got an answer")

    taken = lent.call_off(request)

    assert [job.job_id.decode() for job in taken.started] == [job_id], "it was taken, and is the host's to deal"
    assert value(child.run(queue.enqueue("jobs_under_test.add", 2, 2))) == 4
    assert child.at_rest


def test_a_watch_that_the_host_called_off_takes_nothing(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    sequence, request = lent.lend()
    lent.wait_until_lent()
    assert child.take_back() == [sequence]
    assert lent.call_off(request).started == []

    job_id = enqueue(queue)
    wait_until(lambda: lent.waiting() == 0, "the process got an answer")

    assert queue_ids(redis_client) == [job_id]
    assert child.at_rest


def test_a_job_that_the_host_sends_after_it_took_the_watch_back_ends_the_wait(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    sequence, _ = lent.lend()
    lent.wait_until_lent()
    assert child.take_back() == [sequence]
    job = queue.enqueue("jobs_under_test.add", 2, 2, at_front=True)
    redis_client.delete(KEYS.reserved)

    assert value(child.run(job)) == 4
    wait_until(lambda: lent.waiting() == 0, "the process hung up")


def test_the_next_watch_is_answered_whatever_became_of_the_one_before(
    child: ChildHarness, lent: LentWatches, queue: Queue
) -> None:
    sequence, request = lent.lend()
    lent.wait_until_lent()
    assert child.take_back() == [sequence]
    lent.call_off(request)
    again, _ = lent.lend()
    enqueue(queue)

    said = child.receive(Watched)

    assert (said.sequence, said.kind, said.begun) == (again, "answered", True)
    assert child.receive(Outcome).sequence == again


def test_a_token_that_comes_after_the_answer_is_waited_for(
    child: ChildHarness, lent: LentWatches, queue: Queue
) -> None:
    enqueue(queue)
    sequence, _ = lent.lend(token=False)
    wait_until(lambda: not queue.job_ids, "the job was taken")
    child.send_tokens(sequence)

    assert child.receive(Watched).begun
    assert child.receive(Outcome).sequence == sequence


def test_it_does_not_work_while_it_waits(child: ChildHarness, lent: LentWatches, queue: Queue) -> None:
    process = psutil.Process(child.process.pid)
    lent.lend()
    lent.wait_until_lent()
    before = process.num_ctx_switches().voluntary
    ticks = sum(process.cpu_times()[:2])
    assert os.path.exists(f"/proc/{process.pid}")
    wait_until(lambda: process.status() == psutil.STATUS_SLEEPING, "it sleeps")

    enqueue(queue)
    child.receive(Watched)
    child.receive(Outcome)

    assert sum(process.cpu_times()[:2]) - ticks < 1.0
    assert process.num_ctx_switches().voluntary - before < 100


def test_it_ends_when_its_host_closes_the_pipe_while_it_waits(child: ChildHarness, lent: LentWatches) -> None:
    sequence, _ = lent.lend()
    lent.wait_until_lent()
    assert child.take_back() == [sequence]

    assert child.close() == 0


def test_a_connection_that_is_lost_is_told_and_made_anew(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    lent.lend()
    lent.wait_until_lent()
    (found,) = [one["id"] for one in redis_client.client_list() if one["name"] == CLIENT_NAME]
    redis_client.client_kill_filter(_id=found)

    assert child.receive(Watched).kind == "lost"

    lent.lend()
    lent.wait_until_lent()
    enqueue(queue)
    assert child.receive(Watched).begun
    assert child.receive(Outcome).kind == "finished"


def test_a_connection_that_is_lost_between_two_watches_is_made_anew(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    lent.lend(0.01)
    assert child.receive(Watched).kind == "answered"
    (found,) = [one["id"] for one in redis_client.client_list() if one["name"] == CLIENT_NAME]
    redis_client.client_kill_filter(_id=found)

    lent.lend()
    lent.wait_until_lent()
    enqueue(queue)
    assert child.receive(Watched).begun
    assert child.receive(Outcome).kind == "finished"


def test_a_script_that_redis_forgot_is_told(
    child: ChildHarness, lent: LentWatches, queue: Queue, redis_client: redis.Redis
) -> None:
    lent.lend()
    lent.wait_until_lent()
    redis_client.script_flush()
    enqueue(queue)

    assert child.receive(Watched).kind == "lost"


@pytest.fixture
def cut_off(redis_url: str) -> Iterator[ChildHarness]:
    """A process that can't reach Redis."""
    with ChildHarness("redis://127.0.0.1:1/0", path=[USER_MODULES]) as harness:
        harness.receive(Ready)
        yield harness


def test_it_says_that_redis_cant_be_asked_from_here(
    cut_off: ChildHarness, redis_url: str, redis_client: redis.Redis
) -> None:
    LentWatches(redis_url, redis_client, cut_off).lend()

    assert cut_off.receive(Watched).kind == "failed"
