"""All that is in Redis, in a form in which two runs can be compared."""

import math
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import redis

_MADE_ID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMES = (b"created_at", b"enqueued_at", b"started_at", b"ended_at", b"last_heartbeat")
_NEAR_SECONDS = 120

Mask = Callable[[bytes], bytes]


def state_of(client: redis.Redis) -> dict[bytes, Any]:
    """Key → its value and its time to live, in minutes begun.

    Ids that were made are numbered, in the order of the queues; a time is replaced once it is seen to be about now.
    """
    keys = sorted(client.keys("*"))
    waiting = [job_id for key in keys if client.type(key) == b"list" for job_id in client.lrange(key, 0, -1)]
    made = _MADE_ID.findall(b" ".join([*waiting, *keys]))
    numbers = {job_id: b"<%d>" % number for number, job_id in enumerate(dict.fromkeys(made))}

    def mask(text: bytes) -> bytes:
        return _MADE_ID.sub(lambda found: numbers.get(found[0], b"<?>"), text)

    return {mask(key): (_value(client, key, mask), _ttl(client, key)) for key in keys}


def _value(client: redis.Redis, key: bytes, mask: Mask) -> Any:
    kind = client.type(key)
    if kind == b"hash":
        return {name: _field(name, value) for name, value in client.hgetall(key).items()}
    if kind == b"list":
        return [mask(item) for item in client.lrange(key, 0, -1)]
    if kind == b"set":
        return {mask(item) for item in client.smembers(key)}
    assert kind == b"zset", f"{key!r} is a {kind!r}"
    return {mask(member): _near(score) for member, score in client.zrange(key, 0, -1, withscores=True)}


def _field(name: bytes, value: bytes) -> Any:
    if name in _TIMES and value:
        return _near(datetime.strptime(value.decode(), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp())
    return zlib.decompress(value) if name == b"data" else value


def _ttl(client: redis.Redis, key: bytes) -> int:
    left = client.pttl(key)
    return left if left < 0 else math.ceil(left / 60_000)


def _near(moment: float) -> float | str:
    return "now" if abs(moment - datetime.now(UTC).timestamp()) < _NEAR_SECONDS else moment
