"""Reads what `farm doctor` judges: the server's settings and health, and the types of the keys in it.

Every command may be forbidden (managed Redis): what it would have told is None then. Reads a bounded number of keys,
changes nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from farm.keys import Keys, RqKeys

PINGS = 50
SAMPLED_PAGES = 20
SAMPLED_PAGE_SIZE = 500
SLOW_ENTRIES = 32
QUEUES_CHECKED = 1000
SETTINGS_READ = ("maxmemory-policy", "appendfsync", "timeout", "stream-node-max-bytes", "no-appendfsync-on-rewrite")
SETS_OF_A_JOB = (b":dependents", b":dependencies")
ENDED = frozenset({b"finished", b"failed", b"stopped", b"canceled"})


@dataclass(frozen=True, slots=True)
class WrongType:
    """A key that is not of the type that the farm or RQ works with."""

    key: str
    expected: str
    found: str


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry of the slow log."""

    command: str
    seconds: float
    ago: float
    """Seconds since."""


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """The server and its keys at one moment."""

    information: Mapping[str, Any] | None
    """All that INFO says; None if it is forbidden."""
    configuration: Mapping[str, str]
    """SETTINGS_READ, without those that cannot be read."""
    pings: Sequence[float]
    """Seconds of each round trip."""
    clock_difference: float
    """Seconds that this machine's clock is ahead of Redis's."""
    slow_commands: Sequence[SlowCommand] | None
    wrong_types: Sequence[WrongType]
    queues: int
    """Known to RQ under our prefix."""
    other_rq_prefixes: Sequence[str]
    """Prefixes other than ours under which RQ's set of queues was met."""
    other_farm_prefixes: Sequence[str]
    jobs_sampled: int
    ended_without_ttl: int
    """Of those sampled: jobs that have ended and would stay for ever."""
    mended: Mapping[str, int]
    """Kind of leftover → how many were mended since the farm exists."""


def read_facts(client: redis.Redis, keys: Keys, rq_keys: RqKeys) -> ServerFacts:
    """Raises redis-py's errors of the connection."""
    others, farms, jobs = _sample_keys(client, rq_keys)
    queues = _queue_names(client, rq_keys)
    return ServerFacts(
        information=_allowed(client, "INFO"),
        configuration=_configuration(client),
        pings=[_ping(client) for _ in range(PINGS)],
        clock_difference=_clock_difference(client),
        slow_commands=_slow_commands(client),
        wrong_types=_wrong_types(client, keys, rq_keys, queues),
        queues=len(queues),
        other_rq_prefixes=sorted(others - {rq_keys.prefix}),
        other_farm_prefixes=sorted(farms - {keys.prefix}),
        jobs_sampled=len(jobs),
        ended_without_ttl=_ended_without_ttl(client, jobs),
        mended=_mended(client, keys),
    )


def eviction_policy(information: Mapping[str, Any] | None, configuration: Mapping[str, str]) -> str | None:
    """What Redis does at its memory limit. None if neither INFO nor CONFIG says."""
    policy = (information or {}).get("maxmemory_policy") or configuration.get("maxmemory-policy")
    return None if policy is None else str(policy)


def eviction_warning(client: redis.Redis) -> str | None:
    """A line for those who start a host or a coordinator on a Redis that may drop jobs. None if it does not."""
    policy = eviction_policy(_allowed(client, "INFO", "memory"), {})
    if policy is None or policy == "noeviction":
        return None
    return (
        f"Redis drops keys when its memory is full (maxmemory-policy {policy}), and jobs with them: "
        "set it to noeviction (CONFIG SET maxmemory-policy noeviction, and in redis.conf)"
    )


def _allowed(client: redis.Redis, *command: str) -> Any:
    """The answer; None if the server refuses the command."""
    try:
        return client.execute_command(*command)  # type: ignore[no-untyped-call]
    except redis.ResponseError:
        return None


def _configuration(client: redis.Redis) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in SETTINGS_READ:
        answer = _allowed(client, "CONFIG GET", name) or {}
        found |= {_text(key): _text(value) for key, value in answer.items()}
    return found


def _ping(client: redis.Redis) -> float:
    started = time.perf_counter()
    _allowed(client, "PING")
    return time.perf_counter() - started


def _clock_difference(client: redis.Redis) -> float:
    before = time.time()
    seconds, microseconds = client.time()
    return (before + time.time()) / 2 - (int(seconds) + int(microseconds) / 1e6)


def _slow_commands(client: redis.Redis) -> list[SlowCommand] | None:
    entries = _allowed(client, "SLOWLOG GET", str(SLOW_ENTRIES))
    if entries is None:
        return None
    now = client.time()[0]
    return [
        SlowCommand(_text(entry["command"])[:60], int(entry["duration"]) / 1e6, max(now - int(entry["start_time"]), 0))
        for entry in entries
    ]


def _queue_names(client: redis.Redis, rq_keys: RqKeys) -> list[str]:
    page: Any = _allowed(client, "SSCAN", rq_keys.queues, "0", "COUNT", str(QUEUES_CHECKED))
    prefix = rq_keys.queue("")
    names = [_text(key) for key in (page[1] if page else ())][:QUEUES_CHECKED]
    return [name.removeprefix(prefix) for name in names if name.startswith(prefix)]


def _wrong_types(client: redis.Redis, keys: Keys, rq_keys: RqKeys, queues: Sequence[str]) -> list[WrongType]:
    expected = {
        keys.load: "zset",
        keys.hosts: "zset",
        keys.lost: "zset",
        keys.quarantine: "zset",
        keys.dependents: "zset",
        keys.identities: "hash",
        keys.epochs: "hash",
        keys.quarantine_reasons: "hash",
        keys.mended: "hash",
        keys.coordinator: "string",
        keys.events: "stream",
        keys.bell: "list",
        keys.room: "list",
        keys.reserved: "hash",
        keys.sole: "hash",
        keys.aside: "hash",
        rq_keys.queues: "set",
        rq_keys.workers: "set",
    }
    for queue in queues:
        expected |= {rq_keys.queue(queue): "list", rq_keys.intermediate(queue): "list"}
        registries = (rq_keys.started, rq_keys.finished, rq_keys.failed, rq_keys.dependent, rq_keys.scheduled)
        expected |= {registry(queue): "zset" for registry in (*registries, rq_keys.canceled, rq_keys.ready)}
        expected |= {
            keys.usage(queue): "hash",
            keys.counts(queue): "hash",
            keys.deferral(queue): "hash",
            keys.deferred(queue): "zset",
        }
    with client.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        answers = pipeline.execute(raise_on_error=False)
    return [
        WrongType(key, wanted, _text(found))
        for (key, wanted), found in zip(expected.items(), answers, strict=True)
        if isinstance(found, bytes) and found != b"none" and _text(found) != wanted
    ]


def _sample_keys(client: redis.Redis, rq_keys: RqKeys) -> tuple[set[str], set[str], list[bytes]]:
    """Prefixes of RQ and of farms that are met, and jobs of ours, in a bounded sample of the keys."""
    others, farms, jobs = set(), set(), []
    job_prefix, cursor = rq_keys.job("").encode(), "0"
    for _ in range(SAMPLED_PAGES):
        page: Any = _allowed(client, "SCAN", cursor, "COUNT", str(SAMPLED_PAGE_SIZE))
        if page is None:
            break
        cursor, names = str(page[0]), page[1]
        others |= {_text(name[: -len(b":queues")]) for name in names if name.endswith(b":queues")}
        farms |= {_text(name[: -len(b":identities")]) for name in names if name.endswith(b":identities")}
        jobs += [name for name in names if name.startswith(job_prefix) and not name.endswith(SETS_OF_A_JOB)]
        if cursor == "0":
            break
    return others, farms, jobs


def _ended_without_ttl(client: redis.Redis, jobs: Sequence[bytes]) -> int:
    with client.pipeline(transaction=False) as pipeline:
        for key in jobs:
            pipeline.hget(key, "status")
            pipeline.ttl(key)
        answers = pipeline.execute(raise_on_error=False)
    pairs = zip(answers[::2], answers[1::2], strict=True)
    return sum(isinstance(status, bytes) and status in ENDED and ttl == -1 for status, ttl in pairs)


def _mended(client: redis.Redis, keys: Keys) -> dict[str, int]:
    found = _allowed(client, "HGETALL", keys.mended) or {}
    return {_text(kind): int(count) for kind, count in found.items() if count.isdigit() and int(count)}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
