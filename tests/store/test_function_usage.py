"""What functions use, in Redis: merged from hosts, decayed, bounded, each note counted once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.histogram import bucket_of
from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.function_usage import (
    KEPT_SECONDS,
    MOST_KEPT,
    Running,
    Seen,
    UsageNotes,
    queues_known,
    read_usage,
    read_usage_async,
    usage_from,
)

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()
BILL = ("calls", "shop.bill")
MB = 1_000_000


def run(url: str, body: Callable[[UsageNotes], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as client:
            await body(UsageNotes(client, KEYS))

    asyncio.run(scenario())


def seen(jobs: int, cpu: float, wall: float, memory: int = 0, wait: float = 0.0) -> Seen:
    """Of jobs that are all alike."""
    return Seen(
        weight=jobs,
        user=jobs * cpu,
        wall=jobs * wall,
        memory=jobs * memory,
        waits=jobs,
        wait=jobs * wait,
        cpu_buckets={bucket_of(cpu): jobs},
        wall_buckets={bucket_of(wall): jobs},
        memory_buckets={bucket_of(memory): jobs},
    )


def aged(client: redis.Redis, seconds: float) -> None:
    """As if the entry of `BILL` had been written so long ago."""
    entry = json.loads(client.hget(KEYS.usage("calls"), "shop.bill") or b"{}")
    entry["at"] -= seconds
    client.hset(KEYS.usage("calls"), "shop.bill", json.dumps(entry))


def test_what_two_hosts_saw_is_one_function(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: seen(30, cpu=0.5, wall=1.0, memory=100 * MB, wait=2.0)})
        await notes.note("two", "1-b", 1, {BILL: seen(10, cpu=1.5, wall=3.0, memory=300 * MB, wait=6.0)})

    run(redis_url, body)

    (usage,) = read_usage(redis_client, KEYS, ["calls"])
    assert (usage.queue, usage.function, usage.counted) == ("calls", "shop.bill", 40)
    assert usage.jobs == pytest.approx(40, rel=0.01)
    assert usage.cpu_seconds == usage.user_seconds == pytest.approx(0.75, rel=0.02)
    assert (usage.wall_seconds, usage.wait_seconds) == pytest.approx((1.5, 3.0), rel=0.02)
    assert usage.cpus == pytest.approx(0.5, rel=0.01)
    assert usage.memory == pytest.approx(150 * MB, rel=0.02)
    assert (usage.cpu_seconds_high, usage.wall_high) == pytest.approx((1.5, 3.0), rel=0.05)
    assert usage.memory_high == pytest.approx(300 * MB, rel=0.05)
    assert abs(usage.seen_at - redis_client.time()[0]) < 30
    assert 0 < redis_client.ttl(KEYS.usage("calls")) <= KEPT_SECONDS


def test_both_kinds_of_clients_read_the_same(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: seen(3, 0.5, 1.0), ("low", "shop.mail"): seen(1, 0.1, 0.2)})

    run(redis_url, body)

    async def read() -> list[Any]:
        async with connect_async(redis_url) as client:
            return await read_usage_async(client, KEYS, ["calls", "low", "none"])

    found = read_usage(redis_client, KEYS, ["calls", "low", "none"])
    assert [(usage.queue, usage.function) for usage in found] == [BILL, ("low", "shop.mail")]
    assert [usage.cpu_seconds for usage in asyncio.run(read())] == [usage.cpu_seconds for usage in found]


def test_a_note_that_is_repeated_counts_once(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        for number in (1, 1, 2, 2, 1):
            await notes.note("one", "1-a", number, {BILL: seen(5, 0.5, 1.0)})
        await notes.note("one", "2-b", 1, {BILL: seen(5, 0.5, 1.0)})  # the host registered anew

    run(redis_url, body)

    assert read_usage(redis_client, KEYS, ["calls"])[0].counted == 15
    assert redis_client.ttl(KEYS.receipts("one", "1-a")) > 0


def test_a_function_that_became_another_is_known_as_what_it_is_now(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: seen(100_000, cpu=0.001, wall=0.001)})
        for number in range(2, 12):
            await notes.note("one", "1-a", number, {BILL: seen(1000, cpu=1.0, wall=1.0)})

    run(redis_url, body)

    (usage,) = read_usage(redis_client, KEYS, ["calls"])
    assert usage.cpu_seconds == pytest.approx(1.0, rel=0.01)
    assert usage.counted == 110_000


def test_old_jobs_fade_with_time(redis_url: str, redis_client: redis.Redis) -> None:
    async def first(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: seen(8, cpu=1.0, wall=1.0)})

    async def second(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 2, {BILL: seen(8, cpu=4.0, wall=4.0)})

    run(redis_url, first)
    aged(redis_client, 3600)
    assert read_usage(redis_client, KEYS, ["calls"])[0].jobs == pytest.approx(4.0, rel=0.01)
    aged(redis_client, 86400 - 3600)
    run(redis_url, second)

    usage = read_usage(redis_client, KEYS, ["calls"])[0]
    assert usage.cpu_seconds == pytest.approx((1.0 * 4 + 4.0 * 8) / 12, rel=0.02)
    assert usage.jobs == pytest.approx(8.0, rel=0.01)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.floats(0.001, 1000), min_size=1, max_size=60), min_size=1, max_size=8))
def test_percentiles_of_many_notes_are_those_of_all_their_jobs(
    redis_url: str, redis_client: redis.Redis, notes_of_jobs: list[list[float]]
) -> None:
    redis_client.flushdb()

    async def body(notes: UsageNotes) -> None:
        for number, values in enumerate(notes_of_jobs, 1):
            note = Seen(weight=len(values), wall=sum(values))
            for value in values:
                bucket = bucket_of(value)
                note.wall_buckets[bucket] = note.wall_buckets.get(bucket, 0) + 1
            await notes.note("one", "1-a", number, {BILL: note})

    run(redis_url, body)

    values = sorted(value for each in notes_of_jobs for value in each)
    usage = read_usage(redis_client, KEYS, ["calls"])[0]
    # Older jobs count a little less: that moves the percentile by few of so many.
    lower, upper = (values[min(len(values) - 1, int(len(values) * share))] for share in (0.90, 0.99))
    assert lower * 0.95 <= usage.wall_high <= upper * 1.05
    assert usage.counted == len(values)


def test_a_function_whose_first_job_still_runs_is_known_by_it(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: Seen(running=Running(wall=60.0, cpu=30.0, memory=200.0 * MB))})

    run(redis_url, body)

    (usage,) = read_usage(redis_client, KEYS, ["calls"])
    assert (usage.jobs, usage.counted) == (1.0, 0)
    assert (usage.cpus, usage.wall_seconds, usage.memory) == (0.5, 60.0, 200 * MB)
    assert usage.memory_high == 200 * MB
    entry = json.loads(redis_client.hget(KEYS.usage("calls"), "shop.bill") or b"")
    assert usage_from("calls", "shop.bill", json.dumps(entry).encode(), entry["at"] + 46) is None  # its host is gone


def test_a_job_that_runs_counts_when_it_has_run_longer_than_others_did(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {BILL: seen(1, cpu=2.0, wall=2.0)})
        await notes.note("one", "1-a", 2, {BILL: Seen(running=Running(wall=1.5, cpu=0.0, memory=0.0))})
        await notes.note("two", "1-b", 1, {("low", "f"): seen(1, cpu=2.0, wall=2.0)})
        await notes.note("two", "1-b", 2, {("low", "f"): Seen(running=Running(wall=10.0, cpu=0.0, memory=0.0))})

    run(redis_url, body)

    short, long = read_usage(redis_client, KEYS, ["calls", "low"])
    assert (short.cpus, short.wall_seconds) == pytest.approx((1.0, 2.0), rel=0.01)
    assert (long.cpus, long.wall_seconds, long.wall_high) == pytest.approx((2 / 12, 6.0, 10.0), rel=0.01)


def test_the_functions_not_seen_for_the_longest_time_are_dropped(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(notes: UsageNotes) -> None:
        for number in range(1, MOST_KEPT // 100 + 2):
            first = (number - 1) * 100
            await notes.note("one", "1-a", number, {("calls", f"f{first + n}"): seen(1, 1, 1) for n in range(100)})

    run(redis_url, body)

    names = {usage.function for usage in read_usage(redis_client, KEYS, ["calls"])}
    assert MOST_KEPT * 0.8 < len(names) <= MOST_KEPT
    assert "f0" not in names
    assert {f"f{MOST_KEPT + n}" for n in range(100)} <= names


def test_what_others_wrote_there_stops_nothing(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.set(KEYS.usage("calls"), "no hash")
    for name, text in (("a", "no json"), ("b", "[]"), ("c", '{"at":"x","jobs":[],"wall_buckets":7}'), ("d", "{}")):
        redis_client.hset(KEYS.usage("low"), name, text)

    async def body(notes: UsageNotes) -> None:
        every = {BILL: seen(1, 1.0, 2.0)} | {("low", name): seen(1, 1.0, 2.0) for name in "abc"}
        await notes.note("one", "1-a", 1, every)

    run(redis_url, body)

    usages = read_usage(redis_client, KEYS, ["calls", "low"])
    assert [(usage.function, usage.cpus, usage.counted) for usage in usages] == [(name, 0.5, 1) for name in "abc"]
    assert redis_client.getdel(KEYS.usage("calls")) == b"no hash"


def test_odd_names_of_functions_and_queues_are_kept_as_they_are(redis_url: str, redis_client: redis.Redis) -> None:
    odd = ("a|b:c", 'shöp."bill"\\')

    async def body(notes: UsageNotes) -> None:
        await notes.note("one", "1-a", 1, {odd: seen(1, 1.0, 2.0), ("calls", ""): seen(1, 1.0, 2.0)})

    run(redis_url, body)

    found = read_usage(redis_client, KEYS, ["a|b:c", "calls"])
    assert [(usage.queue, usage.function) for usage in found] == [odd, ("calls", "")]


def test_queues_are_those_that_rq_knows(redis_client: redis.Redis) -> None:
    redis_client.sadd(RQ_KEYS.queues, RQ_KEYS.queue("low"), RQ_KEYS.queue("calls"))

    assert queues_known(redis_client, RQ_KEYS) == ["calls", "low"]
