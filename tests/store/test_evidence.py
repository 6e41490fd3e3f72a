"""What is kept on a job of the processes and hosts that ended under it, and the number that each of its starts has."""

import asyncio
import base64
import json
import zlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from rq import Queue
from rq.job import Job

from farm.ending import Ending
from farm.records import failure_text
from farm.store import evidence
from farm.store.connection import connect_async
from farm.store.evidence import Evidence
from farm.store.execution import ExecutionStore, FinishBatch, StartBatch, new_batch_name
from farm.store.hosts import HostStore, Registration
from farm.store.recovery import RecoveryStore, SilentHost
from farm.store.scripts import Scripts
from farm.store.started import StartedJob
from farm_worker.beginnings import assign, field
from farm_worker.endings import from_outcome, from_process_end
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason
from tests.support.coordinated import KEYS, RQ_KEYS, call, lead, leader, plant_host, plant_lease, plant_record
from tests.support.outcomes import outcome

pytestmark = pytest.mark.every_engine


class Host:
    """One registered host, which starts and ends jobs as a real one does."""

    def __init__(self, client: redis.Redis, store: ExecutionStore, who: Registration) -> None:
        self.client = client
        self.store = store
        self.who = who
        self._batches = 0

    async def start(self, job: Job, name: str = "") -> StartedJob:
        self.client.lrem(RQ_KEYS.queue(job.origin), 1, job.id)
        if not name:
            self.client.rpush(KEYS.inbox(self.who.host, self.who.identity), job.id)
        exchange = await self.store.exchange(self.who, None, StartBatch(name or new_batch_name(), 10), 1)
        (started,) = exchange.started
        return started

    async def end(self, ending: Ending | None) -> str:
        assert ending is not None
        self._batches += 1
        batch = FinishBatch(self._batches, new_batch_name(), [ending])
        (answer,) = (await self.store.exchange(self.who, batch, None, 0)).answers
        return answer

    async def crash(self, job: Job, said: str = "") -> str:
        end = crashed(last_lines=(said,) if said else ())
        return await self.end(from_process_end(assign(await self.start(job)), end, self.who.host))

    async def finish(self, job: Job, **changes: Any) -> str:
        return await self.end(told(await self.start(job), **changes))


def crashed(**facts: Any) -> ProcessEnd:
    known: dict[str, Any] = {"exit_code": None, "signal": "SIGSEGV", "age": 1.0, "jobs_done": 0, "last_memory": 5}
    return ProcessEnd(reason=Reason.CRASHED, pid=7, number=1, phase=Phase.JOB, job_id="x", **known | facts)


def told(started: StartedJob, **changes: Any) -> Ending:
    """How it ended, as its process says."""
    said = outcome(**{"job_id": started.job_id, "token": started.token, "ttl": 500, **changes})
    return from_outcome(assign(started), said)


def run(
    url: str, client: redis.Redis, body: Callable[[Host], Awaitable[None]], *, on_lost: str = "rerun", crashes: int = 3
) -> None:
    async def scenario() -> None:
        async with connect_async(url) as async_client:
            who = await HostStore(async_client, KEYS, RQ_KEYS, host_timeout=10.0).register("one")
            assert isinstance(who, Registration)
            store = ExecutionStore(
                async_client,
                KEYS,
                RQ_KEYS,
                max_crashes=crashes,
                on_lost=on_lost,
                on_lost_of_queues={"careful": "fail", "bold": "rerun"},
            )
            await body(Host(client, store, who))

    asyncio.run(scenario())


def fence(started: StartedJob) -> int:
    return int(dict(zip(started.fields[::2], started.fields[1::2], strict=True))[b"farm_fence"])


def ends_of(client: redis.Redis, job_id: str) -> tuple[Evidence, ...]:
    return evidence.parse(client.hget(RQ_KEYS.job(job_id), "farm_evidence"))


def failure(client: redis.Redis, job_id: str) -> str:
    ((_, entry),) = client.xrevrange(RQ_KEYS.results(job_id), count=1)
    return zlib.decompress(base64.b64decode(entry[b"exc_string"])).decode()


def recover(url: str, max_host_losses: int = 10) -> None:
    async def work(client: Any) -> None:
        store = RecoveryStore(client, KEYS, RQ_KEYS)
        for member in await store.lost():
            await store.recover(leader(client), member, max_host_losses, 0)

    call(url, work)


def lose(client: redis.Redis, url: str, name: str, age: float = 20.0) -> None:
    """The host is given up, and what it ran is given back."""

    async def work(asynchronous: Any) -> None:
        identity = client.hget(KEYS.identities, name).decode()
        silent = SilentHost(name, identity)
        assert await RecoveryStore(asynchronous, KEYS, RQ_KEYS).fence(leader(asynchronous), silent, age / 2)

    call(url, work)


# --- the fence token


def test_each_start_of_a_job_has_a_greater_number(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time")
    numbers = []

    async def body(host: Host) -> None:
        for ending in ("crash", "retry", "failure", "hand back", "finish"):
            started = await host.start(job)
            numbers.append(fence(started))
            assert int(redis_client.hget(job.key, "farm_fence")) == numbers[-1]
            if ending == "crash":
                await host.end(from_process_end(assign(started), crashed(), "one"))
            elif ending == "retry":
                await host.end(told(started, kind="failed", result_type=4, again="back"))
            elif ending == "failure":
                await host.end(told(started, kind="failed", error=failure_text("no")))
                Job.fetch(job.id, connection=redis_client).requeue()
            elif ending == "hand back":
                await host.store.hand_back(host.who, [(started.job_id, started.token)], 0)
            else:
                await host.end(told(started))

    run(redis_url, redis_client, body)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 5


def test_the_same_start_sent_again_has_the_same_number(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        redis_client.rpush(KEYS.inbox("one", host.who.identity), job.id)
        name = new_batch_name()
        first = await host.start(job, name)
        assert fence(await host.start(job, name)) == fence(first)
        await host.end(told(first))

    run(redis_url, redis_client, body)


def test_the_number_grows_when_the_record_was_deleted_and_made_anew(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    numbers = []

    async def body(host: Host) -> None:
        for _ in range(2):
            started = await host.start(queue.enqueue("time.time", job_id="nightly"))
            numbers.append(fence(started))
            await host.end(told(started, ttl=0))
            assert not redis_client.exists(RQ_KEYS.job("nightly"))

    run(redis_url, redis_client, body)
    assert numbers[0] < numbers[1]


@pytest.mark.parametrize("before", ["4503599627370496", "none", "nan", "inf", "1e300", "-5", ""])
def test_the_number_grows_whatever_the_clock_says_and_is_whole_whatever_stood_there(
    redis_url: str, redis_client: redis.Redis, before: str
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    redis_client.hset(job.key, "farm_fence", before)

    async def body(host: Host) -> None:
        started = await host.start(job)
        assert 1_600_000_000_000_000 < fence(started) < 2**53
        assert not before.isdigit() or fence(started) == int(before) + 1
        await host.end(told(started))

    run(redis_url, redis_client, body)


def test_a_save_of_rq_keeps_the_number(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        started = await host.start(job)
        Job.fetch(job.id, connection=redis_client).save()
        assert int(redis_client.hget(job.key, "farm_fence")) == fence(started)
        await host.end(told(started))

    run(redis_url, redis_client, body)


# --- evidence


def test_each_crash_leaves_its_evidence_and_the_failure_tells_of_all(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        assert [await host.crash(job, f"words {number}") for number in (1, 2)] == ["recovered"] * 2
        assert redis_client.hget(job.key, "farm_crashes") == b"2"
        assert await host.crash(job, "words 3") == "poisoned"

    run(redis_url, redis_client, body)
    ends = ends_of(redis_client, job.id)
    assert [end.attempt for end in ends] == [1, 2, 3]
    assert [end.last_lines for end in ends] == [("words 1",), ("words 2",), ("words 3",)]
    assert {(end.host, end.reason, end.signal, end.memory) for end in ends} == {("one", "crashed", "SIGSEGV", 5)}
    assert all(end.at is not None and abs((datetime.now(UTC) - end.at).total_seconds()) < 600 for end in ends)
    text = failure(redis_client, job.id)
    assert text.startswith("Work-horse terminated unexpectedly; waitpid returned 11 (signal 11)")
    assert [text.count(f"words {number}") for number in (1, 2, 3)] == [1, 1, 1]
    assert text.count("SIGSEGV") == 3


def test_a_lost_host_leaves_its_name_and_how_long_it_was_silent(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a", age=20)
    for number, on_lost in enumerate(("rerun", "fail")):
        plant_record(redis_client, "default", on_lost)
        plant_lease(redis_client, "a", identity, on_lost, number, on_lost=on_lost)
    plant_record(redis_client, "default", "not-begun")
    redis_client.rpush(KEYS.inbox("a", identity), "not-begun")

    lose(redis_client, redis_url, "a")
    recover(redis_url)

    for job_id in ("rerun", "fail"):
        (end,) = ends_of(redis_client, job_id)
        assert (end.host, end.reason, end.attempt) == ("a", "host_lost", 1)
        assert end.silent == pytest.approx(20, abs=10)
        assert "the host was lost" in end.sentence()
    assert ends_of(redis_client, "not-begun") == ()
    assert not redis_client.keys(f"{KEYS.host('a')}:*")


def test_a_job_that_lost_too_many_hosts_fails_with_all_that_is_known_of_them(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_record(redis_client, "default", "poison")
    for number, name in enumerate("abc"):
        identity = plant_host(redis_client, name, age=20)
        plant_lease(redis_client, name, identity, "poison", number)
        lease = f"{number:032x}|default|{number + 1}|1700000000|rerun|{number}"
        redis_client.hset(KEYS.running(name, identity), "poison", lease)
        lose(redis_client, redis_url, name)
        recover(redis_url, max_host_losses=2)

    assert redis_client.hget(RQ_KEYS.job("poison"), "status") == b"failed"
    text = failure(redis_client, "poison")
    assert "3 hosts that were lost one after the other, the last one c" in text
    assert "host a, attempt 1: the host was lost" in text
    assert "host b, attempt 2: the host was lost" in text
    assert [end.host for end in ends_of(redis_client, "poison")] == ["a", "b", "c"]
    assert redis_client.hget(KEYS.counts("default"), "poisoned") == b"1"


def test_the_last_ten_ends_are_kept_each_within_its_bound(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        for number in range(12):
            await host.crash(job, f"{number} " + "ä" * 5000)

    run(redis_url, redis_client, body, crashes=100)
    lines = redis_client.hget(job.key, "farm_evidence").splitlines()
    assert [end.attempt for end in ends_of(redis_client, job.id)] == list(range(3, 13))
    assert len(lines) == 10
    assert max(map(len, lines)) <= evidence.LINE_BYTES


def test_what_stands_in_the_counts_and_is_no_number_counts_as_none(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    redis_client.hset(job.key, mapping={"farm_crashes": "many", "farm_evidence": "}\n[1]\n7"})

    async def body(host: Host) -> None:
        assert await host.crash(job) == "recovered"

    run(redis_url, redis_client, body)
    assert redis_client.hget(job.key, "farm_crashes") == b"1"
    assert [end.attempt for end in ends_of(redis_client, job.id)] == [1]


@settings(max_examples=30)
@given(st.lists(st.text(max_size=4000), max_size=40), st.text(max_size=4000), st.text(max_size=60))
def test_a_line_of_evidence_is_one_line_of_bounded_length_and_can_be_read(
    lines: list[str], detail: str, host: str
) -> None:
    end = Evidence(at=datetime.now(UTC), host=host, reason="crashed", detail=detail, last_lines=tuple(lines))

    line = end.to_line()
    (read,) = evidence.parse(line.encode())

    assert len(line) <= evidence.LINE_BYTES
    assert "\n" not in line
    assert (read.at, read.host, read.reason) == (end.at, host, "crashed")
    assert len(read.last_lines) == 0 or read.last_lines[-1] == lines[-1][:200]


@pytest.mark.parametrize(
    "field_value", [b"", b"\xff\xfe", b"null", b"[]", b'{"at": 5, "last_lines": {}, "attempt": 1.5, "silent": true}']
)
def test_evidence_that_cannot_be_read_is_left_out(field_value: bytes) -> None:
    found = evidence.parse(field_value + b"\n" + json.dumps({"host": "one", "reason": "crashed"}).encode())

    assert [end.host for end in found][-1:] == ["one"]
    assert all(end.attempt is None and end.at is None and not end.last_lines for end in found)
    assert all(end.sentence() for end in found)


# --- when the counts start anew


def requeue_as_rq_does(job: Job) -> None:
    Job.fetch(job.id, connection=job.connection).requeue()


def requeue_as_operators_do(job: Job) -> None:
    scripts = Scripts(job.connection)
    assert scripts.run("requeue", [RQ_KEYS.queues], ["rq", "", "", job.id])[0] == b"requeued"


def enqueue_under_the_same_id(job: Job) -> None:
    Queue(job.origin, connection=job.connection).enqueue("time.time", job_id=job.id)


@pytest.mark.parametrize("again", [requeue_as_rq_does, requeue_as_operators_do, enqueue_under_the_same_id])
def test_a_poisoned_job_that_is_enqueued_again_starts_its_counts_anew(
    redis_url: str, redis_client: redis.Redis, again: Callable[[Job], None]
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        assert [await host.crash(job) for _ in range(2)] == ["recovered", "poisoned"]
        again(job)
        started = await host.start(job)
        assert (started.attempt, assign(started).alone) == (1, False)
        assert field(started.fields, b"farm_evidence") == b""
        await host.end(from_process_end(assign(started), crashed(), "one"))
        assert redis_client.hget(job.key, "farm_crashes") == b"1"
        assert len(ends_of(redis_client, job.id)) == 1
        assert await host.crash(job) == "poisoned"

    run(redis_url, redis_client, body, crashes=2)


def test_a_job_that_crashed_and_finished_starts_its_counts_anew_when_it_repeats(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        await host.crash(job)
        assert await host.finish(job, again="back", repeat=True) == "again"
        assert len(ends_of(redis_client, job.id)) == 1, "they are there to be looked at until then"
        started = await host.start(job)
        assert started.attempt == 1
        await host.end(told(started))
        assert not redis_client.hexists(job.key, "farm_evidence")

    run(redis_url, redis_client, body)


def test_a_retry_keeps_the_counts_of_crashes(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        await host.crash(job)
        assert await host.finish(job, kind="failed", result_type=4, again="back") == "again"
        started = await host.start(job)
        assert (started.attempt, assign(started).alone) == (2, True)
        await host.end(told(started))

    run(redis_url, redis_client, body)


def test_a_job_that_was_lost_and_then_failed_starts_its_counts_anew(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    identity = plant_host(redis_client, "a", age=20)
    plant_record(redis_client, "default", "once", created_at="2026-01-02T03:04:05.000000Z")
    plant_lease(redis_client, "a", identity, "once", 1, on_lost="fail")
    lose(redis_client, redis_url, "a")
    recover(redis_url)
    job = Job.fetch("once", connection=redis_client)
    job.requeue()

    async def body(host: Host) -> None:
        started = await host.start(job)
        assert started.attempt == 1
        await host.end(told(started))

    run(redis_url, redis_client, body)


# --- on_lost: what the job says, else its queue, else the host


@pytest.mark.parametrize(
    ("of_host", "queue", "of_job", "expected"),
    [
        ("rerun", "default", "", "recovered"),
        ("fail", "default", "", "failed"),
        ("rerun", "careful", "", "failed"),
        ("fail", "bold", "", "recovered"),
        ("rerun", "bold", "fail", "failed"),
        ("fail", "careful", "rerun", "recovered"),
        ("fail", "default", "perhaps", "failed"),
    ],
)
def test_what_becomes_of_a_crashed_job_is_said_by_itself_else_by_its_queue_else_by_its_host(
    redis_url: str, redis_client: redis.Redis, of_host: str, queue: str, of_job: str, expected: str
) -> None:
    job = Queue(queue, connection=redis_client).enqueue("time.time")
    if of_job:
        redis_client.hset(job.key, "farm_on_lost", of_job)

    async def body(host: Host) -> None:
        assert await host.crash(job, "last words") == expected

    run(redis_url, redis_client, body, on_lost=of_host)
    assert [end.last_lines for end in ends_of(redis_client, job.id)] == [("last words",)]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_job_may_crash_as_often_as_the_host_says(redis_url: str, redis_client: redis.Redis, limit: int) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(host: Host) -> None:
        answers = [await host.crash(job) for _ in range(limit)]
        assert answers == ["recovered"] * (limit - 1) + ["poisoned"]

    run(redis_url, redis_client, body, crashes=limit)
