"""start, finish, hand_back and record: each transition of a job at its host, against a real Redis."""

import asyncio
import pickle
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import redis
from rq import Queue, Retry
from rq.job import Dependency, Job

from farm.ending import Ending
from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.records import Lease, failure_text
from farm.store.connection import connect_async
from farm.store.execution import Exchange, ExecutionStore, FinishBatch, StartBatch, new_batch_name
from farm.store.hosts import HostStore, Registration
from tests.support.outcomes import ending

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()


@dataclass
class Bench:
    """One registered host's stores, and shortcuts for what a test does with them."""

    client: redis.Redis
    store: ExecutionStore
    hosts: HostStore
    who: Registration
    batches: int = 0

    def place(self, *jobs: Job) -> None:
        for job in jobs:
            self.client.lrem(RQ_KEYS.queue(job.origin), 1, job.id)
            self.client.rpush(KEYS.inbox(self.who.host, self.who.identity), job.id)

    async def start(self, limit: int = 10, name: str | None = None) -> Exchange:
        return await self.store.exchange(self.who, None, StartBatch(name or new_batch_name(), limit), 1)

    async def finish(self, *endings: Ending, name: str | None = None) -> list[str]:
        self.batches += 1
        batch = FinishBatch(self.batches, name or new_batch_name(), endings)
        return list((await self.store.exchange(self.who, batch, None, 0)).answers)

    def lease(self, job: Job) -> Lease | None:
        text = self.client.hget(KEYS.running(self.who.host, self.who.identity), job.id)
        return Lease.parse(text.decode()) if text else None


def run(url: str, client: redis.Redis, body: Callable[[Bench], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as async_client:
            hosts = HostStore(async_client, KEYS, RQ_KEYS, host_timeout=10.0)
            who = await hosts.register("one")
            assert isinstance(who, Registration)
            store = ExecutionStore(
                async_client, KEYS, RQ_KEYS, max_crashes=3, on_lost="rerun", on_lost_of_queues={"careful": "fail"}
            )
            await body(Bench(client, store, hosts, who))

    asyncio.run(scenario())


def finished(job: Job, token: str, **changes: Any) -> Ending:
    return ending(job.id.encode(), token, **{"ttl": 500, **changes})


def failed(job: Job, token: str, **changes: Any) -> Ending:
    values: dict[str, Any] = {"kind": "failed", "result_type": 2, "ttl": 60, "error": failure_text("boom")}
    return ending(job.id.encode(), token, **values | changes)


def status(job: Job) -> str:
    return job.get_status(refresh=True).value


def test_a_started_job_has_a_lease_and_the_fields_that_rq_shows(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time", ttl=100)

    async def body(bench: Bench) -> None:
        bench.place(job)
        exchange = await bench.start()
        assert [started.job_id for started in exchange.started] == [job.id.encode()]
        lease = bench.lease(job)
        assert lease is not None
        assert (lease.token, lease.queue, lease.attempt) == (exchange.started[0].token, "default", 1)
        job.refresh()
        assert (job.get_status(), job.worker_name) == ("started", "one")
        assert redis_client.ttl(job.key) == -1, "a running job does not expire"
        await bench.finish(finished(job, lease.token))

    run(redis_url, redis_client, body)


def test_the_same_start_sent_again_returns_the_same_jobs_and_no_more(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    first, second = queue.enqueue("time.time"), queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(first, second)
        name = new_batch_name()
        before = await bench.start(limit=1, name=name)
        after = await bench.start(limit=1, name=name)
        assert [job.token for job in before.started] == [job.token for job in after.started]
        assert [job.job_id for job in after.started] == [first.id.encode()]
        assert after.inbox == 1

    run(redis_url, redis_client, body)


def test_canceled_deleted_and_duplicate_ids_are_dropped(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    canceled, deleted, twice = (queue.enqueue("time.time") for _ in range(3))

    async def body(bench: Bench) -> None:
        bench.place(canceled, deleted, twice, twice)
        canceled.cancel()
        deleted.delete()
        exchange = await bench.start()
        assert [job.job_id for job in exchange.started] == [twice.id.encode()]
        assert exchange.dropped == 3
        assert status(canceled) == "canceled"

    run(redis_url, redis_client, body)


def test_unreadable_jobs_go_to_quarantine_with_a_reason_and_the_others_start(
    redis_url: str, redis_client: redis.Redis
) -> None:
    good = Queue("default", connection=redis_client).enqueue("time.time")
    redis_client.set(RQ_KEYS.job("text"), "no hash")
    redis_client.hset(RQ_KEYS.job("no origin"), mapping={"status": "queued", "data": b"x"})

    async def body(bench: Bench) -> None:
        inbox = KEYS.inbox("one", bench.who.identity)
        redis_client.rpush(inbox, "text", "no origin", b"odd \xff:\n id")
        bench.place(good)
        exchange = await bench.start()
        assert [job.job_id for job in exchange.started] == [good.id.encode()]
        assert set(redis_client.zrange(KEYS.quarantine, 0, -1)) == {b"text", b"no origin"}
        assert b"not a hash" in redis_client.hget(KEYS.quarantine_reasons, "text")
        redis_client.delete(RQ_KEYS.job("text"), RQ_KEYS.job("no origin"))

    run(redis_url, redis_client, body)


def test_a_suspended_farm_starts_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        redis_client.set(RQ_KEYS.suspended, 1, ex=60)
        assert not (await bench.start()).started
        redis_client.delete(RQ_KEYS.suspended)
        assert len((await bench.start()).started) == 1

    run(redis_url, redis_client, body)


def test_a_finished_job_looks_to_rq_as_one_of_its_own(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        assert await bench.finish(finished(job, token, result=b64encode(pickle.dumps(42)))) == ["finished"]
        assert bench.lease(job) is None

    run(redis_url, redis_client, body)
    job.refresh()
    assert (job.get_status(), queue.finished_job_registry.get_job_ids()) == ("finished", [job.id])
    assert 0 < redis_client.ttl(job.key) <= 500
    assert 0 < redis_client.ttl(RQ_KEYS.results(job.id)) <= 500
    result = job.latest_result()
    assert result is not None
    assert (result.type.value, result.worker_name, result.return_value) == (1, "one", 42)
    assert redis_client.hget(KEYS.counts("default"), "finished") == b"1"


def test_the_same_finish_sent_again_gets_the_same_answers_and_writes_nothing(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        end = finished(job, (await bench.start()).started[0].token)
        batch = FinishBatch(1, new_batch_name(), [end])
        before = await bench.store.exchange(bench.who, batch, None, 0)
        after = await bench.store.exchange(bench.who, batch, None, 0)
        assert list(before.answers) == list(after.answers) == ["finished"]
        assert redis_client.xlen(RQ_KEYS.results(job.id)) == 1

    run(redis_url, redis_client, body)


def test_an_outcome_without_the_lease_is_refused_and_told(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        assert await bench.finish(finished(job, "f" * 32)) == ["refused"]
        assert status(job) == "started"
        assert await bench.finish(finished(job, token)) == ["finished"]
        assert await bench.finish(finished(job, token)) == ["refused"]
        events = [fields[b"event"] for _, fields in redis_client.xrange(KEYS.events)]
        assert events.count(b"write.refused") == 2

    run(redis_url, redis_client, body)


def test_a_host_that_was_given_up_can_write_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    running, placed = queue.enqueue("time.time"), queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(running)
        token = (await bench.start()).started[0].token
        bench.place(placed)
        redis_client.hdel(KEYS.identities, "one")
        for attempt in (
            bench.finish(finished(running, token)),
            bench.start(),
            bench.store.hand_back(bench.who, [(running.id.encode(), token)], 10),
            bench.hosts.record_executions(bench.who, [(running.id.encode(), token)]),
            bench.hosts.beat(bench.who, {"load": 0.0, "capacity": 1}, "idle", False),
        ):
            with pytest.raises(HostFenced):
                await attempt
        assert (status(running), status(placed)) == ("started", "queued")

    run(redis_url, redis_client, body)


def test_a_failed_job_is_kept_with_its_error(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time", failure_ttl=60)

    async def body(bench: Bench) -> None:
        bench.place(job)
        assert await bench.finish(failed(job, (await bench.start()).started[0].token)) == ["failed"]

    run(redis_url, redis_client, body)
    result = job.latest_result()
    assert result is not None
    assert result.exc_string == "boom"
    assert queue.failed_job_registry.get_job_ids() == [job.id]


def test_a_retried_job_goes_back_or_is_scheduled(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    now, later = queue.enqueue("time.time", retry=Retry(max=2)), queue.enqueue("time.time", retry=Retry(2, 30))

    async def body(bench: Bench) -> None:
        bench.place(now, later)
        tokens = [started.token for started in (await bench.start()).started]
        answers = await bench.finish(
            failed(now, tokens[0], again="back", result_type=0, fields=[b"retries_left", b"1"]),
            failed(later, tokens[1], again="scheduled", delay=30, result_type=0),
        )
        assert answers == ["again", "again"]

    run(redis_url, redis_client, body)
    assert (queue.job_ids, status(now), status(later)) == ([now.id], "queued", "scheduled")
    assert queue.scheduled_job_registry.get_job_ids() == [later.id]
    now.refresh()
    assert now.retries_left == 1


def test_a_job_whose_process_crashed_goes_back_twice_and_is_then_poisoned(
    redis_url: str, redis_client: redis.Redis
) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        for expected in ("recovered", "recovered", "poisoned"):
            bench.place(job)
            started = (await bench.start()).started[0]
            answer = await bench.finish(failed(job, started.token, kind="crashed", summary="signal 9"))
            assert answer == [expected]
            assert queue.job_ids == ([job.id] if expected == "recovered" else [])
        assert started.attempt == 3

    run(redis_url, redis_client, body)
    assert status(job) == "failed"
    assert redis_client.hmget(KEYS.counts("default"), "crashed", "poisoned", "failed") == [b"3", b"1", b"1"]
    assert b"job.poisoned" in [fields[b"event"] for _, fields in redis_client.xrange(KEYS.events)]


def test_a_job_that_must_not_run_twice_fails_with_its_first_crash(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("careful", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        started = (await bench.start()).started[0]
        assert started.on_lost == "fail"
        assert await bench.finish(failed(job, started.token, kind="crashed")) == ["failed"]

    run(redis_url, redis_client, body)
    assert status(job) == "failed"


def test_dependents_are_queued_with_the_end_of_their_parent(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    good, bad = queue.enqueue("time.time"), queue.enqueue("time.time")
    after_good = queue.enqueue("time.time", depends_on=good)
    after_bad = queue.enqueue("time.time", depends_on=bad)
    despite_bad = queue.enqueue("time.time", depends_on=Dependency([bad], allow_failure=True))

    async def body(bench: Bench) -> None:
        bench.place(good, bad)
        tokens = [started.token for started in (await bench.start()).started]
        await bench.finish(finished(good, tokens[0], ttl=0), failed(bad, tokens[1]))

    run(redis_url, redis_client, body)
    assert queue.job_ids == [after_good.id, despite_bad.id]
    assert status(after_bad) == "deferred"
    assert not redis_client.exists(good.key), "result_ttl=0 keeps nothing"


def test_nothing_follows_a_job_that_was_canceled_while_it_ran(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    parent = queue.enqueue("time.time")
    dependent = queue.enqueue("time.time", depends_on=parent)

    async def body(bench: Bench) -> None:
        bench.place(parent)
        (started,) = (await bench.start()).started
        parent.cancel()
        assert await bench.finish(finished(parent, started.token)) == ["finished"]

    run(redis_url, redis_client, body)
    assert (status(parent), status(dependent), queue.count) == ("finished", "deferred", 0)


def test_a_failure_that_is_left_to_the_users_handlers_goes_to_no_registry(
    redis_url: str, redis_client: redis.Redis
) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (started,) = (await bench.start()).started
        assert await bench.finish(failed(job, started.token, result_type=-1)) == ["failed"]
        assert bench.lease(job) is None

    run(redis_url, redis_client, body)
    assert status(job) == "failed"
    assert job not in queue.failed_job_registry
    assert job.latest_result() is None


def test_a_saved_job_whose_id_was_pushed_by_hand_starts(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    job = Job.create("time.time", origin=queue.name, connection=redis_client)
    job.save()
    queue.push_job_id(job.id)

    async def body(bench: Bench) -> None:
        bench.place(job)
        assert [started.job_id for started in (await bench.start()).started] == [job.id.encode()]

    run(redis_url, redis_client, body)
    assert status(job) == "started"


def test_an_outcome_never_recreates_a_deleted_job(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        job.delete()
        assert await bench.finish(finished(job, token)) == ["deleted"]
        assert not redis_client.exists(job.key)
        assert bench.lease(job) is None

    run(redis_url, redis_client, body)


def test_a_job_with_a_key_of_the_wrong_type_does_not_hold_up_the_others(
    redis_url: str, redis_client: redis.Redis
) -> None:
    queue = Queue("default", connection=redis_client)
    odd, good = queue.enqueue("time.time"), queue.enqueue("time.time")
    redis_client.set(RQ_KEYS.results(odd.id), "no stream", ex=60)

    async def body(bench: Bench) -> None:
        bench.place(odd, good)
        tokens = [started.token for started in (await bench.start()).started]
        assert await bench.finish(finished(odd, tokens[0]), finished(good, tokens[1])) == ["unreadable", "finished"]
        assert redis_client.zrange(KEYS.quarantine, 0, -1) == [odd.id.encode()]

    run(redis_url, redis_client, body)
    odd.delete()


def test_handed_back_jobs_stand_at_the_head_of_their_queue_in_order(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    jobs = [queue.enqueue("time.time") for _ in range(6)]

    async def body(bench: Bench) -> None:
        bench.place(*jobs[:5])
        started = (await bench.start(limit=3)).started
        leases = [(job.job_id, job.token) for job in started[1:]]
        assert await bench.store.hand_back(bench.who, leases, 10, "recalled") == 4
        assert await bench.store.hand_back(bench.who, leases, 10, "recalled") == 0, "a repeat changes nothing"
        assert queue.job_ids == [job.id for job in jobs[1:]]
        assert (status(jobs[0]), status(jobs[1])) == ("started", "queued")

    run(redis_url, redis_client, body)
    assert redis_client.hget(KEYS.counts("default"), "recalled") == b"4"


def test_a_job_that_runs_on_is_in_rqs_started_registry_until_it_ends(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    job = queue.enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        token = (await bench.start()).started[0].token
        await bench.hosts.record_executions(bench.who, [(job.id.encode(), token)])
        assert queue.started_job_registry.get_job_ids() == [job.id]
        assert [execution.id for execution in job.get_executions()] == [token]
        await bench.finish(finished(job, token, recorded=True))
        assert queue.started_job_registry.get_job_ids() == []
        assert not redis_client.exists(f"rq:execution:{job.id}:{token}")

    run(redis_url, redis_client, body)


def test_a_full_server_that_knows_no_script_flags_records_outcomes(redis_url: str, redis_client: redis.Redis) -> None:
    job, other = (Queue("default", connection=redis_client).enqueue("time.time") for _ in range(2))

    async def body(bench: Bench) -> None:
        bench.store._scripts._flags = False
        bench.place(job, other)
        first, second = (await bench.start()).started
        await bench.finish(finished(job, first.token))
        redis_client.config_set("maxmemory", 1)
        try:
            assert await bench.finish(finished(other, second.token)) == ["finished"]
        finally:
            redis_client.config_set("maxmemory", 0)

    run(redis_url, redis_client, body)
