"""Many endings in one call: each job ends as it would alone, and none of them is another's trouble."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import redis
from rq import Queue
from rq.job import Job

from farm.ending import Ending
from farm.store.execution import FinishBatch, new_batch_name
from farm.store.started import StartedJob
from tests.store.test_execution import KEYS, RQ_KEYS, Bench, failed, finished, run, status
from tests.support.outcomes import ending

pytestmark = pytest.mark.every_engine

QUEUES = ("default", "careful", "with|bar", "odd: ü")
Tell = Callable[[Job, str], Ending]

KINDS: dict[str, Tell] = {
    "finished": finished,
    "with a result": lambda job, token: finished(job, token, result=b"gAVLKi4="),
    "kept for ever": lambda job, token: finished(job, token, ttl=-1),
    "not kept": lambda job, token: finished(job, token, ttl=0, result_type=0),
    "repeats": lambda job, token: finished(job, token, again="back", fields=[b"repeats_left", b"1"]),
    "repeats later": lambda job, token: finished(job, token, again="scheduled", delay=50),
    "failed": failed,
    "failed and not kept": lambda job, token: failed(job, token, ttl=0),
    "retried": lambda job, token: failed(job, token, again="back", result_type=0, error=b""),
    "retried in front": lambda job, token: failed(job, token, again="front", result_type=0, error=b""),
    "returned Retry": lambda job, token: failed(job, token, again="scheduled", delay=9, result_type=4, error=b""),
    "stopped": lambda job, token: failed(job, token, kind="stopped"),
    "crashed": lambda job, token: failed(job, token, kind="crashed", evidence="{}"),
    "recorded": lambda job, token: finished(job, token, recorded=True, host_fields=[b"farm_progress", b"{}"]),
    "of a group": lambda job, token: finished(job, token, group=b"g", ttl=0),
    "with dependencies": lambda job, token: finished(job, token, has_dependencies=True),
    "rate limited": lambda job, token: finished(job, token, rate_limit_key=b"k"),
    "enqueued anew": lambda job, token: finished(job, token, accepted=b"long ago"),
    "of nobody": lambda job, token: finished(job, "f" * 32),
    "deleted": finished,
}


def enqueue_all(client: redis.Redis) -> list[tuple[str, Job]]:
    """Each kind on each queue."""
    made = []
    for number, queue in enumerate(QUEUES):
        for kind in KINDS:
            name = f"{number}-{kind.replace(' ', '-')}"
            kept = -1 if kind == "kept for ever" else 500
            job = Queue(queue, connection=client).enqueue("time.time", job_id=name, result_ttl=kept)
            Queue("waits", connection=client).enqueue("time.time", job_id=f"after-{name}", depends_on=job)
            made.append((kind, job))
    return made


async def end_all(bench: Bench, jobs: list[tuple[str, Job]], *, together: bool) -> list[str]:
    bench.place(*(job for _, job in jobs))
    started = (await bench.start(limit=1000, name="0" * 24)).started
    assert [one.job_id.decode() for one in started] == [job.id for _, job in jobs]
    await bench.hosts.record_executions(bench.who, [(one.job_id, one.token) for one in started])
    endings = []
    for (kind, job), one in zip(jobs, started, strict=True):
        endings.append(KINDS[kind](job, one.token))
        if kind == "deleted":
            job.delete(delete_dependents=False)
        if kind == "enqueued anew":
            bench.client.hset(job.key, "status", "queued")
    if together:
        return await bench.finish(*endings)
    return [answer for one in endings for answer in await bench.finish(one)]


def state(client: redis.Redis) -> dict[str, tuple[str, int]]:
    """All keys with what they hold and how long they stay, roughly; without times, and what tells of single calls."""
    found = {}
    for key in client.scan_iter():
        if b":receipts" not in key and not key.startswith(KEYS.bell.encode()):
            found[masked(key.decode())] = (masked(repr(read(client, key))), -(-client.ttl(key) // 25))
    return found


def read(client: redis.Redis, key: bytes) -> Any:
    kind = client.type(key)
    if kind == b"hash":
        return sorted(client.hgetall(key).items())
    if kind == b"list":
        return client.lrange(key, 0, -1)
    if kind == b"set":
        return sorted(client.smembers(key))
    if kind == b"zset":
        return sorted((member, str(score)) for member, score in client.zrange(key, 0, -1, withscores=True))
    return [fields for _, fields in client.xrange(key)]


def masked(text: str) -> str:
    moments = r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?(\+00:00)?|\b1[78]\d{8}(\.\d+)?\b|\b1[78]\d{14}\b"
    return re.sub(rf"{moments}|\b\d+-[0-9a-f]{{8,}}\b", "…", text)


def test_endings_of_all_kinds_on_several_queues_are_written_together_as_one_by_one(
    redis_url: str, redis_client: redis.Redis
) -> None:
    answers, states = [], []

    for together in (False, True):
        redis_client.flushall()
        jobs = enqueue_all(redis_client)

        async def body(bench: Bench, jobs: list[tuple[str, Job]] = jobs, together: bool = together) -> None:
            answers.append(await end_all(bench, jobs, together=together))
            states.append(state(bench.client))

        run(redis_url, redis_client, body)
    assert answers[0] == answers[1]
    assert set(answers[0]) == {"finished", "failed", "stopped", "again", "recovered", "refused", "deleted"}
    assert states[0].keys() == states[1].keys()
    assert {key: (seen, states[1][key]) for key, seen in states[0].items() if seen != states[1][key]} == {}


@pytest.mark.parametrize("key", ["rq:finished:careful", "rq:failed:careful"])
def test_a_registry_of_the_wrong_type_is_the_trouble_of_those_alone_that_belong_there(
    redis_url: str, redis_client: redis.Redis, key: str
) -> None:
    jobs = [Queue(queue, connection=redis_client).enqueue("time.time") for queue in ("default", "careful") * 6]
    redis_client.set(key, "text", ex=60)

    def end(number: int, one: StartedJob) -> Ending:
        return (finished, failed)[number % 4 // 2](jobs[number], one.token)

    async def body(bench: Bench) -> None:
        bench.place(*jobs)
        started = (await bench.start(limit=100)).started
        batch = FinishBatch(1, new_batch_name(), [end(number, one) for number, one in enumerate(started)])
        answers = (await bench.store.exchange(bench.who, batch, None, 0)).answers
        hit = "finished" if "finished" in key else "failed"
        kinds = [batch.endings[number].kind for number in range(12)]
        wrong = {number for number in range(12) if number % 2 and kinds[number] == hit}
        assert len(wrong) == 3
        assert list(answers) == ["unreadable" if number in wrong else kinds[number] for number in range(12)]
        assert set(redis_client.zrange(KEYS.quarantine, 0, -1)) == {jobs[number].id.encode() for number in wrong}
        assert not redis_client.exists(KEYS.running("one", bench.who.identity))
        assert [redis_client.xlen(RQ_KEYS.results(job.id)) for job in jobs] == [1] * 12

        again = await bench.store.exchange(bench.who, batch, None, 0)
        assert list(again.answers) == list(answers), "a repeat gets the same answers"
        assert [redis_client.xlen(RQ_KEYS.results(job.id)) for job in jobs] == [1] * 12

    run(redis_url, redis_client, body)
    assert redis_client.zcard("rq:finished:default") == redis_client.zcard("rq:failed:default") == 3


def test_a_batch_of_many_that_is_sent_again_writes_nothing_again(redis_url: str, redis_client: redis.Redis) -> None:
    jobs = enqueue_all(redis_client)

    async def body(bench: Bench) -> None:
        bench.place(*(job for _, job in jobs))
        started = (await bench.start(limit=1000)).started
        endings = [KINDS[kind](job, one.token) for (kind, job), one in zip(jobs, started, strict=True)]
        batch = FinishBatch(7, new_batch_name(), endings)
        answers = (await bench.store.exchange(bench.who, batch, None, 0)).answers
        before = state(redis_client)
        for _ in range(2):
            assert list((await bench.store.exchange(bench.who, batch, None, 0)).answers) == list(answers)
        assert state(redis_client) == before

    run(redis_url, redis_client, body)


def test_an_ending_that_comes_twice_in_one_call_is_written_once(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        assert await bench.finish(finished(job, token), failed(job, token)) == ["finished", "refused"]
        assert status(job) == "finished"
        assert redis_client.xlen(RQ_KEYS.results(job.id)) == 1
        assert redis_client.hget(KEYS.counts("default"), "finished") == b"1"

    run(redis_url, redis_client, body)


def test_an_error_is_stored_with_any_bytes_in_id_and_result(redis_url: str, redis_client: redis.Redis) -> None:
    job_id = b"odd \xff:|\n\0 id"
    record = {"status": "queued", "origin": "default", "data": b"x", "created_at": "2026-01-02T03:04:05.000000Z"}
    redis_client.hset(b"rq:job:" + job_id, mapping=record)

    async def body(bench: Bench) -> None:
        redis_client.rpush(KEYS.inbox("one", bench.who.identity), job_id)
        (one,) = (await bench.start()).started
        assert one.job_id == job_id
        result, text = bytes(range(256)) * 300, b"\xff\0"
        end = ending(job_id, one.token, "failed", result_type=2, result=result, error=text, ttl=60)
        assert await bench.finish(end) == ["failed"]
        ((_, entry),) = redis_client.xrange(b"rq:results:" + job_id)
        assert (entry[b"return_value"], entry[b"exc_string"]) == (result, text)
        assert redis_client.zrange("rq:failed:default", 0, -1) == [job_id]

    run(redis_url, redis_client, body)
