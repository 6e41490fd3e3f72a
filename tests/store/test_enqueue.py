"""New jobs written by one script: what it writes, in which order, and what it refuses."""

import pytest
import redis

from farm.keys import RqKeys
from farm.store.connection import connect
from farm.store.direct import Direct
from farm.store.enqueue_message import Blank
from farm.store.enqueueing import EnqueueStore, NewJob, NewJobs

pytestmark = pytest.mark.every_engine

RQ_KEYS = RqKeys()
QUEUE = RQ_KEYS.queue("calls")


@pytest.fixture
def store(redis_client: redis.Redis) -> EnqueueStore:
    return EnqueueStore(redis_client, RQ_KEYS)


def jobs(*ids: str, at_front: bool = False, ttl: int = 0, **more: str) -> NewJobs:
    fields: dict[str, str | bytes | int | float] = {"status": "queued", "data": "", "description": "", "timeout": 180}
    each = [NewJob(job_id, b"\x00data of " + job_id.encode(), f"call of {job_id}") for job_id in ids]
    return NewJobs("calls", at_front, ttl, fields | more, each)


def waiting(client: redis.Redis) -> list[str]:
    return [job_id.decode() for job_id in client.lrange(QUEUE, 0, -1)]


def test_each_job_gets_its_record_and_its_place(store: EnqueueStore, redis_client: redis.Redis) -> None:
    store.enqueue([jobs("a", "b", farm_on_lost="fail")])

    assert waiting(redis_client) == ["a", "b"]
    assert redis_client.smembers(RQ_KEYS.queues) == {QUEUE.encode()}
    assert redis_client.hgetall(RQ_KEYS.job("b")) == {
        b"status": b"queued",
        b"data": b"\x00data of b",
        b"description": b"call of b",
        b"timeout": b"180",
        b"farm_on_lost": b"fail",
    }
    assert redis_client.ttl(RQ_KEYS.job("a")) == -1


def test_a_record_that_is_to_expire_takes_along_what_rq_keeps_beside_it(
    store: EnqueueStore, redis_client: redis.Redis
) -> None:
    beside = [f"{RQ_KEYS.job('a')}:dependents", "rq:job::a:dependencies"]
    for key in beside:
        redis_client.sadd(key, "x")
    store.enqueue([jobs("a", ttl=50)])

    assert all(0 < redis_client.ttl(key) <= 50 for key in [RQ_KEYS.job("a"), *beside])


def test_all_pages_keep_the_order_at_either_end(
    store: EnqueueStore, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.store.enqueueing.PAGE_SIZE", 3)
    ids = [f"{number:02}" for number in range(10)]
    store.enqueue([jobs("x", "y"), jobs(*ids), jobs("c", "d", at_front=True), jobs(*"efghi", at_front=True)])

    assert waiting(redis_client) == [*"cdefghi", "x", "y", *ids]


@pytest.mark.parametrize("count", [1, 2], ids=["one script", "a transaction of two"])
def test_a_server_that_forgot_the_script_is_told_it_again(
    store: EnqueueStore, redis_client: redis.Redis, count: int
) -> None:
    for ids in ("ab", "cd"):
        redis_client.script_flush()
        store.enqueue([jobs(ids[0]), jobs(ids[1])][:count])

    assert waiting(redis_client) == [ids[number] for ids in ("ab", "cd") for number in range(count)]


@pytest.mark.parametrize("key", [QUEUE, RQ_KEYS.queues])
def test_nothing_is_written_where_the_queue_cannot_be(store: EnqueueStore, redis_client: redis.Redis, key: str) -> None:
    redis_client.set(key, "no list and no set", ex=60)

    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        store.enqueue([jobs("a", "b")])
    assert redis_client.keys() == [key.encode()]


@pytest.mark.parametrize("is_direct", [True, False], ids=["made beforehand", "packed by the client"])
def test_a_message_with_blanks_carries_whatever_is_in_it(redis_url: str, is_direct: bool) -> None:
    with connect(redis_url) as client:
        store = EnqueueStore(client, RQ_KEYS, Direct(client) if is_direct else None)
        record = {"meta": Blank.META, "made": Blank.MOMENT, "100%d": "%b %% ä\r\n", "timeout": 180, "share": 0.5}
        blanks = {"description": Blank.DESCRIPTION, "data": Blank.DATA, "moved": Blank.MOMENT}
        message = store.message("100%", False, 0, record | blanks)
        store.enqueue_one(message, "%s", (b"now", b"%b\x00\xff", "%d ä".encode(), b""))

        assert client.lrange(RQ_KEYS.queue("100%"), 0, -1) == [b"%s"]
        assert list(client.hgetall(RQ_KEYS.job("%s")).items()) == [
            (b"meta", b""),
            (b"made", b"now"),
            (b"100%d", "%b %% ä\r\n".encode()),
            (b"timeout", b"180"),
            (b"share", b"0.5"),
            (b"description", "%d ä".encode()),
            (b"data", b"%b\x00\xff"),
            (b"moved", b"now"),
        ]


def test_nothing_to_enqueue_is_nothing_to_say(store: EnqueueStore, redis_client: redis.Redis) -> None:
    store.enqueue([])

    assert redis_client.dbsize() == 0
