"""Reading one job from its raw fields. What a job carries (`meta`, arguments, result) is never decoded here.

An answer takes at most four round trips of bounded commands. Keys of the wrong type and unreadable fields never raise.
"""

import json
import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import redis

from farm.aside import from_field, group_of
from farm.keys import Keys, RqKeys
from farm.records import Lease
from farm.store import evidence, job_usage
from farm.store.direct import Direct
from farm.store.job_status import Decline, JobStatus, Outcome, Progress
from farm.store.raw_fields import declines, job_ids, moment, number, shown, text, traceback_of, unpacked
from farm.store.reading import read_together

Connection = redis.Redis
"""A synchronous client whose answers are bytes."""

Pipeline = redis.client.Pipeline

LINE_SEARCHED = 100_000
"""How far a place in line is looked for; RQ's list has no index."""

POLL_SECONDS = 0.1
"""Where Redis refuses blocking reads, results are looked for so often."""

SUCCESS = b"1"
"""The type of a result that RQ writes when a job ended well."""

UNREADABLE = "its record cannot be read"

_FIELDS = (
    "status",
    "origin",
    "description",
    "worker_name",
    "created_at",
    "enqueued_at",
    "started_at",
    "ended_at",
    "timeout",
    "result_ttl",
    "retries_left",
    "dependency_ids",
    "farm_on_lost",
    "farm_crashes",
    "farm_losses",
    "farm_evidence",
    "farm_progress",
    "farm_used",
    "farm_requires",
    "farm_memory_mb",
    "farm_declined",
)


class JobReader:
    """Reads jobs by id. `host_timeout`: seconds after its last beat in which a host counts as alive.

    `direct`: where results are waited for, if that is not the client.
    """

    def __init__(
        self,
        client: Connection,
        keys: Keys,
        rq_keys: RqKeys,
        host_timeout: float = 10.0,
        direct: Direct | None = None,
    ) -> None:
        self._client = client
        self._keys = keys
        self._rq_keys = rq_keys
        self._host_timeout = host_timeout
        self._direct = direct
        patience = client.connection_pool.connection_kwargs.get("socket_timeout")
        self._longest_block = patience / 2 if patience else math.inf

    def status(self, job_id: str) -> JobStatus | None:
        """Everything about one job; None when it does not exist. Raises redis-py's connection errors."""
        fields, quarantined, reason, clock = self._read(
            ("HMGET", self._rq_keys.job(job_id), *_FIELDS),
            ("ZSCORE", self._keys.quarantine, job_id),
            ("HGET", self._keys.quarantine_reasons, job_id),
            ("TIME",),
        )
        if quarantined is None and not any(fields or ()):
            return None
        now = float(clock[0]) if clock else 0.0
        facts = _facts(fields) | {"declined": _declines(fields, now)}
        if quarantined is not None:
            facts |= {"status": "quarantined", "quarantine_reason": text(reason) or UNREADABLE}
        elif facts["status"] == "queued":
            facts |= self._in_line(job_id, facts, now)
        elif facts["status"] == "started":
            facts |= self._lease(job_id, facts["host"])
        elif facts["status"] == "scheduled":
            (score,) = self._read(("ZSCORE", self._rq_keys.scheduled(facts["queue"]), job_id))
            facts |= {"due_at": moment(score)}
        return JobStatus(id=job_id, **facts)

    def runs_on_host(self, worker: str) -> bool:
        """Whether this worker of RQ is a host of the farm."""
        (found,) = self._read(("HEXISTS", self._keys.identities, worker))
        return bool(found)

    def outcome(self, job_id: str) -> Outcome:
        """Status and latest result, read at one moment."""
        fields, entries, quarantined, reason = self._read(
            ("HMGET", self._rq_keys.job(job_id), "status", "created_at"),
            ("XREVRANGE", self._rq_keys.results(job_id), "+", "-", "COUNT", 1),
            ("ZSCORE", self._keys.quarantine, job_id),
            ("HGET", self._keys.quarantine_reasons, job_id),
        )
        if quarantined is not None:
            return Outcome(status="quarantined", quarantine_reason=text(reason) or UNREADABLE)
        if not any(fields or ()):
            return Outcome(status=None)
        status = shown(text(fields[0]))
        if not entries:
            return Outcome(status=status)
        entry, content = entries[0]
        return _outcome(status, entry, content)

    def wait(self, job_id: str, after: str | None, seconds: float) -> Outcome | None:
        """Returns when a result newer than the entry `after` is there, or after `seconds`, or sooner where the client
        waits no longer for an answer.

        The result if it is a success: whether the job will run once more, it does not say.
        """
        seconds = min(seconds, self._longest_block)
        command = self.wait_command(job_id, after, seconds)
        client: Any = self._client
        try:
            if self._direct is not None:
                return success_in(self._direct.ask(*command))
            return _success_by_redis_py(client.execute_command(*command))
        except redis.ResponseError:  # a server that lets nobody block, a key of the wrong type
            time.sleep(min(seconds, POLL_SECONDS))
            return None

    def wait_command(self, job_id: str, after: str | None, seconds: float) -> tuple[str | int, ...]:
        """What `wait` asks Redis. `success_in` reads the reply."""
        milliseconds = max(1, math.ceil(seconds * 1000))
        stream = (self._rq_keys.results(job_id), after or "0-0")
        return ("XREAD", "COUNT", 1, "BLOCK", milliseconds, "STREAMS", *stream)

    def _in_line(self, job_id: str, facts: dict[str, Any], now: float) -> dict[str, Any]:
        queue = facts["queue"]
        position, length, deferral, since, identities, alive, workers, aside, needs = self._read(
            ("LPOS", self._rq_keys.queue(queue), job_id, "MAXLEN", LINE_SEARCHED),
            ("LLEN", self._rq_keys.queue(queue)),
            ("HMGET", self._keys.deferral(queue), "since", "reason"),
            ("ZSCORE", self._keys.deferred(queue), job_id),
            ("HGETALL", self._keys.identities),
            ("ZRANGEBYSCORE", self._keys.hosts, now - self._host_timeout, "+inf"),
            ("SMEMBERS", self._rq_keys.queue_workers(queue)),
            ("HGET", self._keys.aside, queue),
            ("HMGET", self._rq_keys.job(job_id), "farm_requires", "farm_memory_mb", "farm_declined"),
        )
        if position is None and (length or 0) <= LINE_SEARCHED:
            return {"host": self._inbox_of(job_id, identities or {})}
        waiting: dict[str, Any] = {"position": position, "host": None}
        began, reason = deferral or (None, None)
        if began is not None:
            since = moment(since) or _later(moment(began), facts["enqueued_at"])
            return waiting | {"status": "deferred", "deferred_since": since, "deferred_reason": text(reason)}
        if self._nobody_serves(queue, [text(host) for host in alive or ()], workers or ()):
            since = facts["enqueued_at"]
            return waiting | {"status": "deferred", "deferred_since": since, "deferred_reason": "no host"}
        group = group_of(from_field(aside), *(text(field) for field in needs or (None,) * 3))
        if group is not None:
            since = moment(since) or _later(datetime.fromtimestamp(group.since, UTC), facts["enqueued_at"])
            reasons = "; ".join(f"{decline.host}: {decline.reason}" for decline in facts["declined"])
            reason = f"{group.reason} ({reasons})" if group.declined and reasons else group.reason
            return waiting | {"status": "deferred", "deferred_since": since, "deferred_reason": reason}
        return waiting

    def _inbox_of(self, job_id: str, identities: dict[bytes, bytes]) -> str | None:
        hosts = [(text(host), text(identity)) for host, identity in identities.items()]
        found = self._read(*(("LPOS", self._keys.inbox(host, identity), job_id) for host, identity in hosts))
        return next((host for (host, _), position in zip(hosts, found, strict=True) if position is not None), None)

    def _nobody_serves(self, queue: str, hosts: list[str], workers: Iterable[bytes]) -> bool:
        """True when no live host takes the queue and no plain RQ worker listens to it."""
        prefix = len(self._rq_keys.worker(""))
        plain = [key for key in workers if text(key)[prefix:] not in hosts]
        answers = self._read(
            *(("HGET", self._keys.host(host), "queues") for host in hosts),
            *(("HGET", key, "death") for key in plain),
            *(("EXISTS", key) for key in plain),
        )
        queues, rest = answers[: len(hosts)], answers[len(hosts) :]
        deaths, there = rest[: len(plain)], rest[len(plain) :]
        if any(queue in text(names).split(",") for names in queues):
            return False
        return not any(exists and not death for death, exists in zip(deaths, there, strict=True))

    def _lease(self, job_id: str, host: str | None) -> dict[str, Any]:
        if host is None:
            return {}
        (identity,) = self._read(("HGET", self._keys.identities, host))
        if identity is None:
            return {}
        (lease,) = self._read(("HGET", self._keys.running(host, text(identity)), job_id))
        try:
            held = Lease.parse(text(lease))
        except ValueError:
            return {}
        since = datetime.fromtimestamp(held.since, UTC)
        return {"attempt": held.attempt, "running_since": since, "on_lost": held.on_lost}

    def _read(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers at one moment. An error that concerns one command alone stands for nothing found."""
        return read_together(self._client, commands)


def success_in(found: Any) -> Outcome | None:
    """The success that XREAD found as the only entry of one stream; None if it found nothing, or another result.

    `found`: as Redis says it.
    """
    if not found:
        return None
    entries = next(iter(found.values())) if isinstance(found, dict) else found[0][1]  # a map is one only in RESP3
    entry, listed = entries[0]
    parts = iter(listed)
    return _success(entry, dict(zip(parts, parts, strict=False)))  # name, value, name, value…


def _success_by_redis_py(found: Any) -> Outcome | None:
    """The same as redis-py tells it."""
    if not found:
        return None
    # In RESP3, redis-py before version 8 gives a dict, with one more list around the entries.
    entries = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
    return _success(*entries[0])


def _success(entry: bytes, content: dict[bytes, bytes]) -> Outcome | None:
    if content.get(b"type") != SUCCESS:
        return None
    return Outcome("finished", entry.decode(), has_value=True, value=unpacked(content.get(b"return_value")))


def _outcome(status: str, entry: bytes, content: dict[bytes, bytes]) -> Outcome:
    return Outcome(
        status=status,
        entry=entry.decode(),
        has_value=content.get(b"type") == SUCCESS,
        value=unpacked(content.get(b"return_value")),
        traceback=traceback_of(content.get(b"exc_string")),
    )


def _facts(fields: Sequence[bytes | None] | None) -> dict[str, Any]:
    raw = dict(zip(_FIELDS, fields or [None] * len(_FIELDS), strict=True))
    times = ("created_at", "enqueued_at", "started_at", "ended_at")
    numbers = ("timeout", "result_ttl", "retries_left")
    return {
        "status": shown(text(raw["status"])),
        "queue": text(raw["origin"]),
        "description": text(raw["description"]),
        "host": text(raw["worker_name"]) or None,
        "depends_on": job_ids(raw["dependency_ids"]),
        "on_lost": text(raw["farm_on_lost"]) or None,
        "crashes": number(raw["farm_crashes"]) or 0,
        "losses": number(raw["farm_losses"]) or 0,
        "requires": tuple(filter(None, text(raw["farm_requires"]).split(","))),
        "memory_mb": number(raw["farm_memory_mb"]),
        "evidence": evidence.parse(raw["farm_evidence"]),
        "progress": _progress(raw["farm_progress"]),
        "used": job_usage.parse(raw["farm_used"]),
        **{name: moment(raw[name]) for name in times},
        **{name: number(raw[name]) for name in numbers},
    }


def _declines(fields: Sequence[bytes | None] | None, now: float) -> tuple[Decline, ...]:
    """Those that hold, in the order of the hosts' names."""
    value = dict(zip(_FIELDS, fields or (), strict=False)).get("farm_declined")
    found = [
        Decline(who.rpartition("|")[0] or who, reason, over_at)
        for who, (until, reason) in declines(value, now).items()
        if (over_at := moment(until)) is not None
    ]
    return tuple(sorted(found, key=lambda one: one.host))


def _progress(value: bytes | None) -> Progress | None:
    try:
        said = json.loads(value) if value else None
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    at = moment(str(said.get("at", "")))
    if at is None:
        return None
    fraction = said.get("fraction")
    if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        fraction = None
    return Progress(fraction, str(said.get("text", "")), at)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max(filter(None, (one, other)), default=None)
