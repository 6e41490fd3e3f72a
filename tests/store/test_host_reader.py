"""One host as others see it: what it published, its processes, and what is wanted of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
import redis

from farm.errors import HostNotFound
from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.host_reader import HostReader
from farm.store.hosts import HostStore, Registration
from farm.store.job_status import Progress
from farm.store.process_view import ProcessView, RunningJob, from_line, to_line
from tests.support.planted import plant_host

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()
RECORD = {"load": 0.25, "capacity": 2, "state": "available", "pid": 4711, "hostname": "box", "boot_id": "boot"}
IDLE = ProcessView(number=2, pid=12, state="ready", age=4.0, jobs_done=7, memory=1000)
BUSY = ProcessView(
    number=10,
    pid=13,
    state="busy",
    age=9.0,
    jobs_done=1,
    job_id="a",
    function="shop.bill",
    job_seconds=2.0,
    queue="default",
    attempt=1,
    progress=Progress(0.5, "half", datetime(2026, 1, 2, tzinfo=UTC)),
    beside=(RunningJob(job_id="b", function="shop.look", job_seconds=1.0), RunningJob(job_id="c")),
    unlisted=3,
)
LISTED = {2: to_line(IDLE), 10: to_line(BUSY)}


def run(url: str, body: Callable[[HostStore, Registration], Awaitable[None]]) -> None:
    async def scenario() -> None:
        async with connect_async(url) as client:
            store = HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0)
            who = await store.register("one")
            assert isinstance(who, Registration)
            await body(store, who)

    asyncio.run(scenario())


def test_the_processes_are_read_as_they_were_published(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        await store.beat(who, RECORD, "busy", campaigns=False, processes=LISTED)
        details = HostReader(redis_client, KEYS).details("one")

        assert details.processes == (IDLE, BUSY)
        assert (details.host.standing, details.host.fields["state"]) == ("live", "available")
        assert 0 < redis_client.ttl(KEYS.processes("one")) <= 60

    run(redis_url, body)


def test_a_list_that_stays_gets_older_with_the_beats(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        await store.beat(who, RECORD, "busy", campaigns=False, processes=LISTED)
        redis_client.expire(KEYS.processes("one"), 5)
        redis_client.hincrbyfloat(KEYS.processes("one"), "at", -3)
        await store.beat(who, RECORD, "busy", campaigns=False)
        idle, busy = HostReader(redis_client, KEYS).details("one").processes

        assert 3 <= idle.age - IDLE.age < 10
        assert 3 <= (busy.job_seconds or 0) - 2.0 < 10
        assert 3 <= (busy.running[1].job_seconds or 0) - 1.0 < 10
        assert busy.running[2].job_seconds is None
        assert redis_client.ttl(KEYS.processes("one")) > 5

    run(redis_url, body)


def test_a_process_names_each_of_the_jobs_that_it_runs() -> None:
    assert [job.job_id for job in BUSY.running] == ["a", "b", "c"]
    assert IDLE.running == ()
    named = BUSY.naming("b")

    assert named is not None
    assert (named.job_id, named.function, named.job_seconds, named.pid) == ("b", "shop.look", 1.0, 13)
    assert [job.job_id for job in named.running] == ["b", "a", "c"]
    assert (named.unlisted, BUSY.naming("a"), BUSY.naming("d"), IDLE.naming("a")) == (3, BUSY, None, None)


def test_a_line_of_another_version_is_read() -> None:
    old = from_line(b'{"number":1,"pid":7,"state":"busy","age":1.0,"jobs_done":0,"job_id":"a","of_a_later_one":1}')

    assert old is not None
    assert [job.job_id for job in old.running] == ["a"]


def test_a_list_written_anew_holds_only_what_is_there_now(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        await store.beat(who, RECORD, "busy", campaigns=False, processes=LISTED)
        await store.beat(who, RECORD, "busy", campaigns=False, processes={2: to_line(IDLE)})
        assert [process.number for process in HostReader(redis_client, KEYS).details("one").processes] == [2]
        await store.beat(who, RECORD, "busy", campaigns=False, processes={})
        assert HostReader(redis_client, KEYS).details("one").processes == ()

    run(redis_url, body)


def test_a_thousand_processes_fit_into_one_beat(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        many = {number: to_line(BUSY) for number in range(1, 1001)}
        await store.beat(who, RECORD, "busy", campaigns=False, processes=many)

        assert len(HostReader(redis_client, KEYS).details("one").processes) == 1000

    run(redis_url, body)


def test_what_is_wanted_comes_with_the_beat_which_renews_it(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        reader = HostReader(redis_client, KEYS)
        reader.desire("one", {"idle_processes": 3})
        reader.desire("one", {"drain": 1})
        assert 0 < redis_client.ttl(KEYS.desired("one")) <= 60
        redis_client.expire(KEYS.desired("one"), 5)
        answer = await store.beat(who, RECORD, "idle", campaigns=False)

        assert answer.desired == reader.details("one").desired == {"idle_processes": "3", "drain": "1"}
        assert redis_client.ttl(KEYS.desired("one")) > 5

    run(redis_url, body)


def test_what_was_wanted_ends_with_the_host_and_not_with_its_identity(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        reader = HostReader(redis_client, KEYS)
        reader.desire("one", {"idle_processes": 3})
        redis_client.zincrby(KEYS.hosts, -11, "one")
        same = await store.register("one", again=True)
        assert isinstance(same, Registration)
        assert (await store.beat(same, RECORD, "idle", campaigns=False)).desired == {"idle_processes": "3"}

        redis_client.zincrby(KEYS.hosts, -11, "one")
        another = await store.register("one")
        assert isinstance(another, Registration)
        assert (await store.beat(another, RECORD, "idle", campaigns=False)).desired == {}

        reader.desire("one", {"idle_processes": 3})
        await store.beat(another, RECORD, "idle", campaigns=False, processes=LISTED)
        await store.leave(another)
        assert redis_client.keys("farm:host:*") == []

    run(redis_url, body)


def test_nothing_is_wanted_of_a_host_that_is_not_there(redis_client: redis.Redis) -> None:
    reader = HostReader(redis_client, KEYS)
    with pytest.raises(HostNotFound, match="`farm worker` starts one"):
        reader.details("one")
    plant_host(redis_client, "worker-1")
    plant_host(redis_client, "other")

    for ask in (lambda: reader.desire("worker-2", {"drain": 1}), lambda: reader.details("worker-2")):
        with pytest.raises(HostNotFound, match="did you mean worker-1"):
            ask()
    assert not redis_client.exists(KEYS.desired("worker-2"))


def test_keys_that_others_wrote_break_neither_reader_nor_beat(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        redis_client.set(KEYS.desired("one"), "text", ex=60)
        redis_client.set(KEYS.processes("one"), "text", ex=60)
        assert (await store.beat(who, RECORD, "idle", campaigns=False)).desired == {}
        reader = HostReader(redis_client, KEYS)
        details = reader.details("one")
        assert (details.processes, details.desired) == ((), {})

        reader.desire("one", {"drain": 1})
        await store.beat(who, RECORD, "idle", campaigns=False, processes=LISTED)
        odd = {"11": b"{", "12": b'{"pid": "x"}', "x": b"1", "at": b"never"}
        redis_client.hset(KEYS.processes("one"), mapping=odd)
        assert reader.details("one").processes == (IDLE, BUSY)

    run(redis_url, body)


def test_a_drain_that_is_to_last_outlives_the_registration(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        reader = HostReader(redis_client, KEYS)
        reader.desire("one", {"drain": "stay", "idle_processes": 3})
        await store.leave(who)
        assert redis_client.hgetall(KEYS.desired("one")) == {b"drain": b"stay"}
        assert 0 < redis_client.ttl(KEYS.desired("one")) <= 60

        again = await store.register("one")
        assert isinstance(again, Registration)
        assert (await store.beat(again, RECORD, "idle", campaigns=False)).desired == {"drain": "stay"}

    run(redis_url, body)


@pytest.mark.parametrize("drain", ["exit", "no"])
def test_any_other_wish_ends_with_the_registration(redis_url: str, redis_client: redis.Redis, drain: str) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        reader = HostReader(redis_client, KEYS)
        reader.desire("one", {"drain": drain, "idle_processes": 3})
        await store.leave(who)
        assert not redis_client.exists(KEYS.desired("one"))

    run(redis_url, body)


def test_wishes_of_a_wrong_type_are_forgotten(redis_url: str, redis_client: redis.Redis) -> None:
    async def body(store: HostStore, who: Registration) -> None:
        redis_client.rpush(KEYS.desired("one"), "drain")
        await store.leave(who)
        assert not redis_client.exists(KEYS.desired("one"))

    run(redis_url, body)
