"""Jobs in quarantine: looked at without decoding anything, put back when they can be read, dropped."""

import pytest
import redis

from farm.errors import JobNotFound
from farm.keys import Keys, RqKeys
from farm.store.quarantine import PAGE_SIZE, LetOut, QuarantineStore
from tests.support.planted import IDENTITY, now, plant_host, plant_lease

pytestmark = pytest.mark.every_engine

KEYS, RQ_KEYS = Keys(), RqKeys()
GOOD = {"status": "queued", "origin": "default", "data": b"\x80\xff"}


@pytest.fixture
def store(redis_client: redis.Redis) -> QuarantineStore:
    return QuarantineStore(redis_client, KEYS, RQ_KEYS)


def plant(client: redis.Redis, job_id: str, reason: str = "it has no data", **fields: object) -> None:
    client.zadd(KEYS.quarantine, {job_id: now(client)})
    client.hset(KEYS.quarantine_reasons, job_id, reason)
    if fields:
        client.hset(RQ_KEYS.job(job_id), mapping=fields)  # type: ignore[arg-type]


def waiting(client: redis.Redis) -> list[bytes]:
    return client.lrange(RQ_KEYS.queue("default"), 0, -1)


def inside(client: redis.Redis) -> tuple[list[bytes], dict[bytes, bytes]]:
    return client.zrange(KEYS.quarantine, 0, -1), client.hgetall(KEYS.quarantine_reasons)


def test_the_latest_are_listed_first_each_with_its_reason(store: QuarantineStore, redis_client: redis.Redis) -> None:
    plant(redis_client, "early", "no origin")
    plant(redis_client, "late")
    redis_client.hdel(KEYS.quarantine_reasons, "late")

    assert [(entry.id, entry.reason) for entry in store.entries()] == [
        ("late", "its record cannot be read"),
        ("early", "no origin"),
    ]
    assert store.count() == 2
    assert len(store.entries(limit=1)) == 1


def test_a_record_is_shown_raw_and_cut(store: QuarantineStore, redis_client: redis.Redis) -> None:
    plant(redis_client, "a", status="queued", data=b"\x80" * 5000)
    record = store.record("a")

    assert [(field.name, field.size, len(field.head)) for field in record.fields] == [
        ("data", 5000, 200),
        ("status", 6, 6),
    ]
    assert (record.kind, record.fields_left_out, record.entry.reason) == ("hash", 0, "it has no data")


def test_whatever_the_key_holds_the_answer_is_bounded(store: QuarantineStore, redis_client: redis.Redis) -> None:
    plant(redis_client, "many", **{f"field-{number}": "x" for number in range(1000)})
    plant(redis_client, "text")
    redis_client.set(RQ_KEYS.job("text"), "y" * 100_000)
    plant(redis_client, "set")
    redis_client.sadd(RQ_KEYS.job("set"), "x")
    plant(redis_client, "nothing")

    assert (len(store.record("many").fields), store.record("many").fields_left_out) == (100, 900)
    (field,) = store.record("text").fields
    assert (field.name, field.size, len(field.head)) == ("", 100_000, 200)
    assert (store.record("set").kind, store.record("set").fields) == ("set", ())
    assert store.record("nothing").kind == "none"
    with pytest.raises(JobNotFound, match="farm quarantine list"):
        store.record("another")


def test_a_mended_job_goes_to_the_head_of_its_queue(store: QuarantineStore, redis_client: redis.Redis) -> None:
    redis_client.rpush(RQ_KEYS.queue("default"), "x")
    plant(redis_client, "a", **GOOD)
    plant(redis_client, "b", **{**GOOD, "status": "started", "worker_name": "gone"})

    assert store.requeue(["a", "b"]) == [LetOut("a", "requeued", "default"), LetOut("b", "requeued", "default")]
    assert waiting(redis_client) == [b"a", b"b", b"x"]
    assert inside(redis_client) == ([], {})
    assert redis_client.hget(RQ_KEYS.job("b"), "status") == b"queued"


def test_more_than_a_page_keeps_its_order(store: QuarantineStore, redis_client: redis.Redis) -> None:
    names = [f"job-{number:04}" for number in range(PAGE_SIZE + 20)]
    for name in names:
        plant(redis_client, name, **GOOD)

    assert [answer.id for answer in store.requeue(names)] == names
    assert waiting(redis_client) == [name.encode() for name in names]


@pytest.mark.parametrize("missing", ["status", "origin", "data"])
def test_what_still_cannot_be_read_stays_with_the_reason_that_holds_now(
    store: QuarantineStore, redis_client: redis.Redis, missing: str
) -> None:
    plant(redis_client, "a", "an old reason", **{name: value for name, value in GOOD.items() if name != missing})
    (answer,) = store.requeue(["a"])

    assert (answer.outcome, answer.detail) == ("unreadable", f"the hash of the job lacks {missing}")
    assert inside(redis_client) == ([b"a"], {b"a": answer.detail.encode()})
    assert waiting(redis_client) == []


def test_keys_of_a_wrong_type_keep_a_job_where_it_is(store: QuarantineStore, redis_client: redis.Redis) -> None:
    plant(redis_client, "list")
    redis_client.rpush(RQ_KEYS.job("list"), "x")
    plant(redis_client, "no line", **GOOD)
    redis_client.set(RQ_KEYS.queue("default"), "text")

    assert [answer.outcome for answer in store.requeue(["list", "no line", "absent"])] == [
        "unreadable",
        "unreadable",
        "absent",
    ]
    assert redis_client.zcard(KEYS.quarantine) == 2


@pytest.mark.parametrize("call", ["requeue", "drop"])
def test_a_job_that_went_another_way_is_only_let_out(
    store: QuarantineStore, redis_client: redis.Redis, call: str
) -> None:
    plant_host(redis_client, "one")
    plant(redis_client, "finished", **{**GOOD, "status": "finished", "result_ttl": -1})
    plant(redis_client, "in line", **GOOD)
    redis_client.rpush(RQ_KEYS.queue("default"), "in line")
    plant(redis_client, "placed", **GOOD)
    redis_client.rpush(KEYS.inbox("one", IDENTITY), "placed")
    plant(redis_client, "running", **{**GOOD, "status": "started", "worker_name": "one"})
    plant_lease(redis_client, "one", "running")
    plant(redis_client, "elsewhere", **{**GOOD, "status": "started", "worker_name": "rq"})
    redis_client.zadd(RQ_KEYS.started("default"), {"elsewhere:execution": now(redis_client) + 60})
    names = ["finished", "in line", "placed", "running", "elsewhere"]

    answers = getattr(store, call)(names)
    assert [answer.outcome for answer in answers] == ["released"] * 5
    assert inside(redis_client) == ([], {})
    assert all(redis_client.exists(RQ_KEYS.job(name)) for name in names)
    assert waiting(redis_client) == [b"in line"]


def test_a_dropped_job_leaves_nothing(store: QuarantineStore, redis_client: redis.Redis) -> None:
    plant(redis_client, "broken", status="queued")
    plant(redis_client, "gone")
    plant(redis_client, "mended", **GOOD)
    plant(redis_client, "foreign")
    redis_client.set(RQ_KEYS.job("foreign"), "text")

    answers = store.drop(["broken", "gone", "mended", "foreign", "absent"])
    assert [answer.outcome for answer in answers] == ["dropped"] * 4 + ["absent"]
    assert "was left" in answers[3].detail
    assert inside(redis_client) == ([], {})
    assert redis_client.keys("rq:job:*") == [b"rq:job:foreign"]
