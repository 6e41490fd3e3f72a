"""Large jobs: their process reads the payload from Redis, or says that the job is to go back."""

import pickle
from pathlib import Path

import pytest
import redis
from rq import Callback, Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import InterruptJob, Ready, encode
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import value
from tests.support.waiting import wait_until

TEXT = "all work and no play " * 5000


def run_large(child: ChildHarness, job: Job) -> Outcome:
    child.start(job, is_large=True)
    return child.receive(Outcome)


def test_a_plain_job_gets_its_payload(used_child: ChildHarness, queue: Queue) -> None:
    jobs = [queue.enqueue("jobs_under_test.add", TEXT, str(number)) for number in range(3)]
    assert [value(run_large(used_child, job)) for job in jobs] == [TEXT + str(number) for number in range(3)]


def test_a_job_that_looks_at_itself_sees_its_payload(used_child: ChildHarness, queue: Queue) -> None:
    job = queue.enqueue("looking_jobs.look", TEXT)
    assert value(run_large(used_child, job))["args"] == (TEXT,)


def test_a_job_with_callbacks_gets_its_payload(used_child: ChildHarness, queue: Queue) -> None:
    job = queue.enqueue(
        "jobs_under_test.add", TEXT, "", on_success=Callback("jobs_under_test.on_success_keeps_longer"), retry=Retry(2)
    )
    assert value(run_large(used_child, job)) == TEXT


def test_a_serializer_of_the_users_gets_what_is_stored(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client, serializer=JSONSerializer)
    with ChildHarness(redis_url, path=[USER_MODULES], serializer="rq.serializers.JSONSerializer") as child:
        child.receive(Ready)
        outcome = run_large(child, queue.enqueue("jobs_under_test.add", TEXT, ""))
    assert outcome.kind == "finished", outcome.summary


def test_a_payload_from_an_older_rq_is_not_packed(used_child: ChildHarness, queue: Queue) -> None:
    job = queue.enqueue("jobs_under_test.nothing")
    data = pickle.dumps(("jobs_under_test.add", None, (TEXT, ""), {}))
    queue.connection.hset(job.key, "data", data)
    assert value(run_large(used_child, job)) == TEXT


@pytest.mark.parametrize("change", ["deleted", "without payload", "enqueued anew"])
def test_a_job_that_is_another_by_now_is_not_begun(used_child: ChildHarness, queue: Queue, change: str) -> None:
    job = queue.enqueue("jobs_under_test.add", TEXT, "")
    record = queue.connection.hgetall(job.key) | {b"data": b"", b"farm_fence": b"1"}
    if change == "deleted":
        queue.connection.delete(job.key)
    elif change == "without payload":
        queue.connection.hdel(job.key, "data")
    else:
        queue.enqueue("jobs_under_test.add", 1, 2, job_id=job.id)
    sequence = used_child.start_record(job.id.encode(), record, is_large=True)
    outcome = used_child.receive(Outcome)
    assert (outcome.sequence, outcome.kind, outcome.packed) == (sequence, "unbegun", b"")
    assert value(used_child.run(queue.enqueue("jobs_under_test.add", 3, 4))) == 7


def test_a_job_begins_once_redis_is_back(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url) as client:
        job = Queue("default", connection=client).enqueue("jobs_under_test.add", TEXT, "")
        with ChildHarness(server.url, path=[USER_MODULES]) as child:
            child.receive(Ready)
            child.start(job, is_large=True)
            assert value(child.receive(Outcome)) == TEXT
            record = client.hgetall(job.key) | {b"data": b""}
            server.stop()
            child.start_record(job.id.encode(), record, is_large=True)
            wait_until(lambda: child.peek() == 0, "the process has its token")
            server.start()
            assert value(child.receive(Outcome)) == TEXT


@pytest.mark.slow
def test_a_job_goes_back_while_redis_stays_away(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url) as client:
        job = Queue("default", connection=client).enqueue("jobs_under_test.add", TEXT, "")
        record = client.hgetall(job.key) | {b"data": b"", b"farm_fence": b"1"}
        with ChildHarness(server.url, path=[USER_MODULES]) as child:
            child.receive(Ready)
            server.stop()
            child.start_record(job.id.encode(), record, is_large=True)
            assert child.receive(Outcome).kind == "unbegun"
            assert any(f"job {job.id} goes back" in said.text for said in child.said)


def test_a_host_that_stops_gets_it_back_at_once(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server, connect(server.url) as client:
        job = Queue("default", connection=client).enqueue("jobs_under_test.add", TEXT, "")
        record = client.hgetall(job.key) | {b"data": b"", b"farm_fence": b"1"}
        with ChildHarness(server.url, path=[USER_MODULES]) as child:
            child.receive(Ready)
            server.stop()
            child.lines.control.sendall(encode(InterruptJob(60.0)))
            child.start_record(job.id.encode(), record, is_large=True)
            assert child.receive(Outcome).kind == "unbegun"
