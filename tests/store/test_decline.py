"""decline: a job that a host started, and is not for it, goes back with the reason, and nothing is counted as a run."""

import json
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rq import Queue

from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.store.execution import DECLINE_SECONDS
from tests.store.test_execution import Bench, finished, run, status

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()


def declined(client: redis.Redis, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.hget(RQ_KEYS.job(job_id), "farm_declined") or "{}")
    return found


def test_declined_jobs_are_back_at_the_head_in_their_order_with_the_reasons(
    redis_url: str, redis_client: redis.Redis
) -> None:
    queue = Queue("default", connection=redis_client)
    jobs = [queue.enqueue("time.time") for _ in range(4)]

    async def body(bench: Bench) -> None:
        bench.place(*jobs[:3])
        started = (await bench.start()).started
        await bench.store.decline(bench.who, [(one.job_id, one.token, f"not {n}") for n, one in enumerate(started[:2])])
        who = f"one|{bench.who.identity}"
        assert redis_client.lrange(RQ_KEYS.queue("default"), 0, -1) == [
            job.id.encode() for job in (jobs[0], jobs[1], jobs[3])
        ]
        assert [status(job) for job in jobs] == ["queued", "queued", "started", "queued"]
        assert [bench.lease(job) is None for job in jobs] == [True, True, False, True]
        now = redis_client.time()[0]
        for number, job in enumerate(jobs[:2]):
            said = declined(redis_client, job.id)
            assert said.keys() == {who}
            assert said[who]["reason"] == f"not {number}"
            assert now + DECLINE_SECONDS - 2 <= said[who]["until"] <= now + DECLINE_SECONDS + 1
        assert redis_client.hget(KEYS.counts("default"), "declined") == b"2"
        assert redis_client.llen(KEYS.bell) == 1
        fields = redis_client.hmget(jobs[0].key, "farm_crashes", "farm_losses", "farm_drains", "worker_name")
        assert fields == [None, None, None, b""]

    run(redis_url, redis_client, body)


def test_the_next_start_is_still_the_first_attempt_and_has_a_greater_fence(
    redis_url: str, redis_client: redis.Redis
) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        fences = []
        for _ in range(3):
            bench.place(job)
            (started,) = (await bench.start()).started
            assert started.attempt == 1
            fences.append(int(redis_client.hget(job.key, "farm_fence") or 0))
            assert await bench.store.decline(bench.who, [(started.job_id, started.token, "busy")]) == 1
        assert fences == sorted(set(fences))

    run(redis_url, redis_client, body)


def test_a_repeat_and_a_lease_that_is_not_ours_change_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (first,) = (await bench.start()).started
        old = [(first.job_id, first.token, "busy")]
        assert await bench.store.decline(bench.who, old) == 1
        assert await bench.store.decline(bench.who, old) == 0
        assert redis_client.llen(RQ_KEYS.queue("default")) == 1
        bench.place(job)
        (second,) = (await bench.start()).started
        assert await bench.store.decline(bench.who, old) == 0
        assert status(job) == "started"
        assert await bench.finish(finished(job, second.token)) == ["finished"]
        assert await bench.store.decline(bench.who, [(second.job_id, second.token, "late")]) == 0
        assert status(job) == "finished"
        assert redis_client.hget(KEYS.counts("default"), "declined") == b"1"
        job.delete()

    run(redis_url, redis_client, body)


def test_a_host_that_was_given_up_declines_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (started,) = (await bench.start()).started
        redis_client.hset(KEYS.identities, "one", "99-other")
        with pytest.raises(HostFenced):
            await bench.store.decline(bench.who, [(started.job_id, started.token, "busy")])
        assert status(job) == "started"

    run(redis_url, redis_client, body)


def test_a_job_that_was_canceled_meanwhile_stays_canceled(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (started,) = (await bench.start()).started
        redis_client.hset(job.key, "status", "canceled")
        assert await bench.store.decline(bench.who, [(started.job_id, started.token, "busy")]) == 0
        assert redis_client.llen(RQ_KEYS.queue("default")) == 0
        assert bench.lease(job) is None

    run(redis_url, redis_client, body)


def test_a_reason_is_cut_and_entries_that_are_over_go(redis_url: str, redis_client: redis.Redis) -> None:
    job = Queue("default", connection=redis_client).enqueue("time.time")
    now = redis_client.time()[0]
    others = {f"h{n}|1-x": {"until": now + 100 + n, "reason": "no"} for n in range(150)}
    over = {f"o{n}|1-x": {"until": now - n, "reason": "no"} for n in range(5)}

    async def body(bench: Bench) -> None:
        bench.place(job)
        (started,) = (await bench.start()).started
        redis_client.hset(job.key, "farm_declined", json.dumps({**others, **over}))
        await bench.store.decline(bench.who, [(started.job_id, started.token, "ä" * 300)])
        said = declined(redis_client, job.id)
        assert said.pop(f"one|{bench.who.identity}")["reason"] == "ä" * 200
        assert said.keys() == {f"h{n}|1-x" for n in range(51, 150)}, "those that hold longest stay"

    run(redis_url, redis_client, body)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b'{"a": {"until": 1e999}}', b'{"a": null}', b"null", b"[[[[", b'{"a": {"until": {}}}', b"[1]"]
        ),
        st.dictionaries(st.text(max_size=5), st.one_of(st.none(), st.floats(), st.lists(st.integers()))).map(
            lambda value: json.dumps(value).encode()
        ),
    )
)
def test_whatever_is_in_the_field_the_job_goes_back(redis_url: str, redis_client: redis.Redis, text: bytes) -> None:
    redis_client.flushdb()
    job = Queue("default", connection=redis_client).enqueue("time.time")

    async def body(bench: Bench) -> None:
        bench.place(job)
        (started,) = (await bench.start()).started
        redis_client.hset(job.key, "farm_declined", text)
        assert await bench.store.decline(bench.who, [(started.job_id, started.token, "busy")]) == 1
        assert declined(redis_client, job.id)[f"one|{bench.who.identity}"]["reason"] == "busy"

    run(redis_url, redis_client, body)
    assert redis_client.lrange(RQ_KEYS.queue("default"), 0, -1) == [job.id.encode()]
