"""Everything that stands in RQ's keys, as values that are the same for two runs of the same jobs."""

import base64
import re
import zlib
from collections.abc import Callable
from math import isinf
from typing import Any

import redis

ROUND_SECONDS = 50
"""Times to live and scores differ by how long a run took: scenarios use multiples of this."""

OF_OURS = "farm_"
"""Fields of the farm's own on RQ's job hash: docs/keys.md lists them."""

WHO_WORKS = re.compile(r"^rq:(worker|workers|scheduler|scheduler-lock|clean_registries|clean_groups|suspended)(:|$)")
"""Records and locks of whoever works: a host stays, RQ's workers of a burst are gone. Their counts are compared. The farm
is held by RQ's switch, too."""

_TIMES = re.compile(r"(created|enqueued|started|ended)_at$|^last_heartbeat$")
_MASKS = {"worker_name": "<worker>", "execution_id": "<execution>"}
_FRAME = re.compile(r'^  File "(?P<file>[^"]*)", line \d+, in (?P<function>\S+)$')

Dump = dict[str, Any]
"""`key`, `key / field`, `key / TTL` → value."""


def dump(client: redis.Redis) -> Dump:
    """All keys of RQ, what jobs left in keys of tests, and what workers counted."""
    seen: Dump = {}
    now = float(client.time()[0])
    for key in sorted(client.scan_iter(count=1000)):
        name = key.decode()
        if name.startswith(("rq:", "test:effects", "test:runs")) and not WHO_WORKS.match(name):
            _read(client, name, now, seen)
    for count in ("successful_job_count", "failed_job_count"):
        values = [client.hget(key, count) for key in client.scan_iter("rq:worker:*") if client.type(key) == b"hash"]
        seen[f"workers / {count}"] = sum(int(value or 0) for value in values)
    return seen


def _read(client: redis.Redis, name: str, now: float, seen: Dump) -> None:
    kind = client.type(name).decode()
    if kind == "none":
        return
    seen[name] = kind
    ttl = client.ttl(name)
    seen[f"{name} / TTL"] = _rounded(ttl) if ttl >= 0 else "none"
    readers: dict[str, Callable[[], dict[str, Any]]] = {
        "hash": lambda: _hash(client.hgetall(name)),
        "zset": lambda: {
            _text(member): _score(score, now) for member, score in client.zrange(name, 0, -1, withscores=True)
        },
        "stream": lambda: {"entries": [_entry(fields) for _, fields in client.xrange(name)]},
        "list": lambda: {"items": [_text(item) for item in client.lrange(name, 0, -1)]},
        "set": lambda: {"members": sorted(_text(member) for member in client.smembers(name))},
        "string": lambda: {"value": _text(client.get(name) or b"")},
    }
    seen.update({f"{name} / {field}": value for field, value in readers[kind]().items()})


def _hash(fields: dict[bytes, bytes]) -> dict[str, Any]:
    named = {name.decode(): value for name, value in fields.items()}
    return {name: _field(name, value) for name, value in named.items() if not name.startswith(OF_OURS)}


def _entry(fields: dict[bytes, bytes]) -> dict[str, Any]:
    return {name.decode(): _field(name.decode(), value) for name, value in fields.items()}


def _field(name: str, value: bytes) -> Any:
    if _TIMES.search(name):
        return value and "<time>"
    if name in _MASKS:
        return value and _MASKS[name]
    if name == "data":
        return _unpacked(value)
    if name == "return_value":
        return base64.b64decode(value)
    if name == "exc_string":
        return trace(zlib.decompress(base64.b64decode(value)).decode())
    return _text(value)


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def trace(text: str) -> str:
    """Of a traceback, the frames of the jobs' own code and what was raised. Its lines and paths are not compared."""
    kept, is_own = [], True
    for line in text.splitlines():
        frame = _FRAME.match(line)
        if frame:
            is_own = "state_jobs" in frame["file"]
            if is_own:
                kept.append(f"  in {frame['function']}")
        elif not line.startswith("    "):
            is_own = True
            kept.append(re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.+]+", "<time>", line))
    return "\n".join(kept)


def _score(score: float, now: float) -> Any:
    if isinf(score) or score < now / 2:  # no time, or far from one
        return score
    return f"now + {_rounded(score - now)}"


def _rounded(seconds: float) -> int:
    return round(seconds / ROUND_SECONDS) * ROUND_SECONDS


def _text(value: bytes) -> str:
    text = value.decode("utf-8", "backslashreplace")
    return re.sub(r"127\.0\.0\.1:\d{2,}", "<server>", re.sub(r"(?<=:)[0-9a-f]{32}$", "<execution>", text))
