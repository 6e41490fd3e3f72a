"""Reserved queues: which host may take their jobs by itself, and what it gets."""

import asyncio
import itertools
from dataclasses import dataclass
from itertools import takewhile

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.errors import HostFenced
from farm.records import Lease
from farm.store.hosts import Registration
from farm.store.leadership import NotLeader
from farm.store.placement import PlacementStore
from farm.store.queue_watch import QueueWatch, Taken, TakeRequest, request_name
from farm.store.started import StartedJob
from tests.support.coordinated import (
    KEYS,
    LEADER,
    RQ_KEYS,
    call,
    inbox_ids,
    lead,
    leader,
    plant_host,
    plant_jobs,
    queue_ids,
)

pytestmark = pytest.mark.every_engine

WHO = Registration("a", "1-a")


_numbers = itertools.count(1)


def next_name() -> str:
    """Of the request after those before."""
    return request_name(next(_numbers))


def take(url: str, may_hold: int, *queues: str, who: Registration = WHO, name: str = "") -> Taken:
    """What a host gets that may then hold so many jobs."""

    async def work(client: redis.asyncio.Redis) -> Taken:
        watch = QueueWatch(client, KEYS, RQ_KEYS, "default", queues or ("default",), ["rerun"])
        return await watch.ask(TakeRequest(who, name or next_name(), may_hold), lambda _: None)

    return call(url, work)


def reserve(url: str, owners: dict[str, str | None], value: str = LEADER) -> None:
    """Queue → name of a planted host, or None."""

    async def work(client: redis.asyncio.Redis) -> None:
        store = PlacementStore(client, KEYS, RQ_KEYS)
        hosts = {host.name: host for host in (await store.survey()).hosts}
        changes = {queue: hosts[name] if name else None for queue, name in owners.items()}
        await store.reserve(leader(client, value), changes, [])

    call(url, work)


@pytest.fixture
def reserved(redis_client: redis.Redis, redis_url: str) -> str:
    """The address of a farm where `default` is reserved for the host `a`, which holds four jobs at most."""
    lead(redis_client)
    plant_host(redis_client, "a")
    reserve(redis_url, {"default": "a"})
    return redis_url


def running_ids(client: redis.Redis, identity: str = "1-a") -> list[str]:
    """What the host holds, in the order of starting."""
    leases = {
        job_id: Lease.parse(lease.decode()) for job_id, lease in client.hgetall(KEYS.running("a", identity)).items()
    }
    return [job_id.decode() for job_id in sorted(leases, key=lambda job_id: leases[job_id].sequence)]


def rung(client: redis.Redis) -> bool:
    """Whether the coordinator is woken."""
    return client.llen(KEYS.bell) > 0


@pytest.mark.parametrize(("may_hold", "waits"), [(1, True), (2, False), (3, False)])
def test_a_host_is_told_whether_it_left_any(
    reserved: str, redis_client: redis.Redis, may_hold: int, waits: bool
) -> None:
    plant_jobs(redis_client, "default", "1", "2")

    assert take(reserved, may_hold).waits is waits


def test_a_host_takes_from_the_head_and_starts_in_the_same_exchange(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2", "3")

    taken = take(reserved, 2)

    assert taken.count == 2
    assert [job.job_id for job in taken.started] == [b"1", b"2"]
    assert queue_ids(redis_client) == ["3"]
    assert running_ids(redis_client) == ["1", "2"]


def test_a_wait_brings_the_job_that_ends_it_already_started(reserved: str, redis_client: redis.Redis) -> None:
    begun: list[StartedJob] = []

    async def work(client: redis.asyncio.Redis) -> Taken:
        watch = QueueWatch(client, KEYS, RQ_KEYS, "default", ("default",), ["rerun"])
        waits = asyncio.create_task(watch.wait(TakeRequest(WHO, next_name(), 4), 30, begun.extend))
        while not redis_client.info("clients")["blocked_clients"]:
            await asyncio.sleep(0)
        plant_jobs(redis_client, "default", "1")
        taken = await waits
        watch.close()
        return taken

    taken = call(reserved, work)

    assert taken.came
    assert begun == taken.started
    assert [job.job_id for job in taken.started] == [b"1"]
    assert queue_ids(redis_client) == []


def test_a_wait_in_vain_brings_nothing(reserved: str) -> None:
    async def work(client: redis.asyncio.Redis) -> Taken:
        watch = QueueWatch(client, KEYS, RQ_KEYS, "default", ("default",), ["rerun"])
        return await watch.wait(TakeRequest(WHO, next_name(), 4), 0.01, lambda _: None)

    assert call(reserved, work) == Taken(came=False, count=0, started=[])


def test_a_request_that_comes_twice_brings_the_same_jobs(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2", "3")
    name = next_name()

    first, again = take(reserved, 2, name=name), take(reserved, 4, name=name)

    assert [job.token for job in again.started] == [job.token for job in first.started]
    assert queue_ids(redis_client) == ["3"]


def call_off(url: str, name: str) -> Taken:
    async def work(client: redis.asyncio.Redis) -> Taken:
        watch = QueueWatch(client, KEYS, RQ_KEYS, "default", ["default"], ["rerun"])
        return await watch.call_off(TakeRequest(WHO, name, 4), lambda _: None)

    return call(url, work)


def test_a_request_that_was_called_off_takes_nothing_when_it_comes_to_be_run(
    reserved: str, redis_client: redis.Redis
) -> None:
    name = next_name()
    plant_jobs(redis_client, "default", "1")

    assert call_off(reserved, name).count == 0
    assert take(reserved, 4, name=name).count == 0
    assert queue_ids(redis_client) == ["1"]
    assert take(reserved, 4).count == 1, "the next one does"


def test_a_request_that_is_called_off_after_it_was_run_brings_its_jobs(
    reserved: str, redis_client: redis.Redis
) -> None:
    name = next_name()
    plant_jobs(redis_client, "default", "1", "2")
    first = take(reserved, 1, name=name)

    off = call_off(reserved, name)

    assert [job.token for job in off.started] == [job.token for job in first.started]
    assert queue_ids(redis_client) == ["2"]


def test_a_request_takes_nothing_once_a_later_one_was_answered(reserved: str, redis_client: redis.Redis) -> None:
    early, late = next_name(), next_name()
    plant_jobs(redis_client, "default", "1", "2")
    assert call_off(reserved, early).count == 0
    assert take(reserved, 1, name=late).count == 1

    assert take(reserved, 4, name=early).count == 0
    assert queue_ids(redis_client) == ["2"]


def test_what_was_placed_before_comes_first(reserved: str, redis_client: redis.Redis) -> None:
    redis_client.rpush(KEYS.inbox("a", "1-a"), "placed")
    redis_client.expire(KEYS.inbox("a", "1-a"), 60)
    plant_jobs(redis_client, "default", "1")

    assert take(reserved, 4).count == 0
    assert rung(redis_client)


def test_a_host_that_is_not_available_takes_nothing(reserved: str, redis_client: redis.Redis) -> None:
    redis_client.hset(KEYS.host("a"), "state", "full")
    plant_jobs(redis_client, "default", "1")

    assert take(reserved, 4).count == 0
    assert rung(redis_client)


@pytest.mark.parametrize(
    "owner", [None, "b|1-a", "a|2-a", "a|1-a ", "a"], ids=["nobody", "another", "an older one", "broken", "half"]
)
def test_nothing_is_taken_of_a_queue_that_is_not_reserved_for_this_registration(
    reserved: str, redis_client: redis.Redis, owner: str | None
) -> None:
    plant_jobs(redis_client, "default", "1")
    redis_client.hdel(KEYS.reserved, "default")
    if owner is not None:
        redis_client.hset(KEYS.reserved, "default", owner)
        redis_client.expire(KEYS.reserved, 60)

    assert take(reserved, 4).count == 0
    assert queue_ids(redis_client) == ["1"]
    assert rung(redis_client), "it watched for a job that others have to see to"


def test_a_host_that_was_given_up_takes_nothing(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1")
    redis_client.hset(KEYS.identities, "a", "2-a")

    with pytest.raises(HostFenced):
        take(reserved, 4)

    assert queue_ids(redis_client) == ["1"]
    assert inbox_ids(redis_client, "a") == []


def test_nothing_is_taken_while_rq_is_suspended(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1")
    redis_client.set(RQ_KEYS.suspended, 1, ex=60)

    assert take(reserved, 4).count == 0
    assert queue_ids(redis_client) == ["1"]
    assert not rung(redis_client), "it could do nothing either"


def test_the_coordinator_is_woken_when_jobs_are_left_or_no_process_is(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1")
    assert take(reserved, 2).count == 1
    assert not rung(redis_client), "all is taken, and the next one begins at once as well"

    plant_jobs(redis_client, "default", "2")
    assert take(reserved, 2).count == 1
    assert rung(redis_client), "the next one can't begin here"

    redis_client.delete(KEYS.bell)
    plant_jobs(redis_client, "default", "3", "4", "5")
    assert take(reserved, 4).count == 2
    assert rung(redis_client), "one is left"
    take(reserved, 4)
    assert redis_client.llen(KEYS.bell) == 1


def test_a_queue_with_jobs_that_others_have_to_place_stops_those_after_it(
    reserved: str, redis_client: redis.Redis
) -> None:
    plant_jobs(redis_client, "high", "h")
    plant_jobs(redis_client, "default", "1")

    assert take(reserved, 4, "high", "default").count == 0
    assert rung(redis_client)
    assert take(reserved, 4, "default", "high").count == 1


def test_the_first_queue_is_emptied_before_the_next_is_looked_at(reserved: str, redis_client: redis.Redis) -> None:
    reserve(reserved, {"high": "a"})
    plant_jobs(redis_client, "high", "h1", "h2")
    plant_jobs(redis_client, "default", "1", "2")

    assert take(reserved, 3, "high", "default").count == 3
    assert running_ids(redis_client) == ["h1", "h2", "1"]


def test_what_is_taken_is_deferred_no_more(reserved: str, redis_client: redis.Redis) -> None:
    plant_jobs(redis_client, "default", "1", "2")
    redis_client.hset(KEYS.deferral("default"), "reason", "full")
    redis_client.zadd(KEYS.deferred("default"), {"1": 1, "2": 1})

    take(reserved, 1)

    assert redis_client.zrange(KEYS.deferred("default"), 0, -1) == [b"2"]


@pytest.mark.parametrize("broken", ["the queue", "the reservations", "the index", "the host"])
def test_a_key_of_the_wrong_type_stops_no_host(reserved: str, redis_client: redis.Redis, broken: str) -> None:
    plant_jobs(redis_client, "default", "1")
    redis_client.hset(KEYS.deferral("default"), "reason", "full")
    key = {
        "the queue": RQ_KEYS.queue("default"),
        "the reservations": KEYS.reserved,
        "the index": KEYS.deferred("default"),
        "the host": KEYS.host("a"),
    }[broken]
    redis_client.set(key, "x", ex=60)

    assert take(reserved, 4).count == (1 if broken == "the index" else 0)


@dataclass(frozen=True)
class Scene:
    """What a host holds, and what waits in the queues that it serves."""

    capacity: int
    inbox: int
    running: int
    waiting: tuple[int, int, int]
    own: tuple[bool, bool, bool]
    """Which of the queues are reserved for it."""

    @property
    def jobs(self) -> list[list[str]]:
        return [
            [f"{queue}{number}" for number in range(count)] for queue, count in zip("pqr", self.waiting, strict=True)
        ]

    def expected(self, may_hold: int) -> list[str]:
        """What it takes."""
        able = takewhile(lambda pair: pair[1] or not pair[0], zip(self.jobs, self.own, strict=True))
        room = 0 if self.inbox else max(0, min(may_hold, self.capacity) - self.running)
        return [job_id for ids, _ in able for job_id in ids][:room]

    def plant(self, client: redis.Redis) -> None:
        lead(client)
        identity = plant_host(client, "a", capacity=self.capacity)
        for number in range(self.inbox):
            client.rpush(KEYS.inbox("a", identity), f"placed{number}")
        for number in range(self.running):
            client.hset(KEYS.running("a", identity), f"running{number}", "t|default|1|1|rerun|1")
        for queue, ids in zip("pqr", self.jobs, strict=True):
            plant_jobs(client, queue, *ids)


scenes = st.builds(
    Scene,
    capacity=st.integers(0, 6),
    inbox=st.integers(0, 4),
    running=st.integers(0, 4),
    waiting=st.tuples(*[st.integers(0, 5)] * 3),
    own=st.tuples(*[st.booleans()] * 3),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(scene=scenes, may_hold=st.integers(1, 8))
def test_never_more_than_the_capacity_and_never_out_of_order(
    redis_client: redis.Redis, redis_url: str, scene: Scene, may_hold: int
) -> None:
    redis_client.flushall()
    scene.plant(redis_client)
    owners = {queue: "a" for queue, is_own in zip("pqr", scene.own, strict=True) if is_own}
    reserve(redis_url, {"other": "a", **owners})

    taken = take(redis_url, may_hold, *"pqr").count

    expected = scene.expected(may_hold)
    assert inbox_ids(redis_client, "a") == [f"placed{number}" for number in range(scene.inbox)]
    assert [job_id for job_id in running_ids(redis_client) if not job_id.startswith("running")] == expected
    assert taken == len(expected)
    left = [job_id for queue in "pqr" for job_id in queue_ids(redis_client, queue)]
    assert expected + left == [job_id for ids in scene.jobs for job_id in ids]


def test_reserving_tells_the_hosts_that_got_something_once_and_has_an_end(
    redis_client: redis.Redis, redis_url: str
) -> None:
    lead(redis_client)
    for name in ("a", "b"):
        plant_host(redis_client, name)

    for _ in range(2):
        reserve(redis_url, {"p": "a", "q": "a", "r": None})

    assert redis_client.hgetall(KEYS.reserved) == {b"p": b"a|1-a", b"q": b"a|1-a"}
    assert 0 < redis_client.ttl(KEYS.reserved) <= 86400
    assert redis_client.lrange(KEYS.host_bell("a"), 0, -1) == [b"reserved"]
    assert 0 < redis_client.ttl(KEYS.host_bell("a")) <= 60
    assert redis_client.llen(KEYS.host_bell("b")) == 0


def test_a_queue_is_reserved_for_one_host_at_a_time(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client)
    for name in ("a", "b"):
        plant_host(redis_client, name)
    reserve(redis_url, {"p": "a"})
    reserve(redis_url, {"p": "b"})

    assert redis_client.hgetall(KEYS.reserved) == {b"p": b"b|1-b"}
    reserve(redis_url, {"p": None})
    assert not redis_client.exists(KEYS.reserved)


def test_who_leads_no_more_reserves_nothing(redis_client: redis.Redis, redis_url: str) -> None:
    lead(redis_client, "2:token:another")
    plant_host(redis_client, "a")

    with pytest.raises(NotLeader):
        reserve(redis_url, {"p": "a"})

    assert not redis_client.exists(KEYS.reserved)
    assert redis_client.llen(KEYS.host_bell("a")) == 0
