"""How a process reads the payload of a large job by itself."""

from collections.abc import Iterator

import pytest
import redis

from farm.keys import RqKeys
from farm.store.connection import CONNECTION_LOST, REDIS_ERRORS, connect
from farm.store.payloads import PayloadReader

KEYS = RqKeys()
ACCEPTED = b"2026-11-22T10:00:00.000000Z2026-11-22T10:00:01.000000Z"
PAYLOAD = bytes(range(256)) * 400


@pytest.fixture
def reader(redis_url: str) -> Iterator[PayloadReader]:
    with connect(redis_url) as client:
        reader = PayloadReader(client, KEYS)
        yield reader
        reader.close()


def plant(client: redis.Redis, job_id: bytes = b"one") -> bytes:
    """A record with its times. Returns the key."""
    key = KEYS.job("").encode() + job_id
    client.hset(key, mapping={"data": PAYLOAD, "created_at": ACCEPTED[:27], "enqueued_at": ACCEPTED[27:]})
    return key


@pytest.mark.parametrize("job_id", [b"one", "with spaces: \N{SNOWMAN}".encode(), b"odd \xff\r\n id"])
def test_it_is_read_as_it_is_stored(reader: PayloadReader, redis_client: redis.Redis, job_id: bytes) -> None:
    plant(redis_client, job_id)
    assert [reader.read(job_id, ACCEPTED) for _ in range(3)] == [PAYLOAD] * 3


def test_of_a_job_that_is_gone_there_is_none(reader: PayloadReader, redis_client: redis.Redis) -> None:
    assert reader.read(b"one", ACCEPTED) is None
    redis_client.hdel(plant(redis_client), "data")
    assert reader.read(b"one", ACCEPTED) is None


def test_of_a_job_that_was_enqueued_anew_there_is_none(reader: PayloadReader, redis_client: redis.Redis) -> None:
    redis_client.hset(plant(redis_client), "enqueued_at", "2026-11-22T10:00:02.000000Z")
    assert reader.read(b"one", ACCEPTED) is None


def test_nothing_is_connected_before_the_first_is_read(reader: PayloadReader, redis_client: redis.Redis) -> None:
    before = len(redis_client.client_list())
    plant(redis_client)
    reader.read(b"one", ACCEPTED)
    assert len(redis_client.client_list()) == before + 1


def test_a_lost_connection_is_told_and_made_anew(reader: PayloadReader, redis_client: redis.Redis) -> None:
    plant(redis_client)
    reader.read(b"one", ACCEPTED)
    redis_client.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(CONNECTION_LOST):
        reader.read(b"one", ACCEPTED)
    assert reader.read(b"one", ACCEPTED) == PAYLOAD


def test_what_the_server_refuses_is_told_and_leaves_no_answer_behind(
    reader: PayloadReader, redis_client: redis.Redis
) -> None:
    redis_client.set(KEYS.job("text"), "no hash")
    with pytest.raises(REDIS_ERRORS, match=r"WRONGTYPE|wrong kind"):
        reader.read(b"text", ACCEPTED)
    plant(redis_client)
    assert reader.read(b"one", ACCEPTED) == PAYLOAD
