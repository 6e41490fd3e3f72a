"""Jobs whose records cannot be read: looked at, put back into their queues, dropped. Nothing of them is decoded."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import redis

from farm.errors import JobNotFound
from farm.keys import Keys, RqKeys
from farm.store.raw_fields import id_from, id_to, moment, text
from farm.store.scripts import Scripts

PAGE_SIZE = 100
FIELDS_SHOWN = 100
BYTES_SHOWN = 200
UNKNOWN_REASON = "its record cannot be read"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One job in quarantine."""

    id: str
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class RawField:
    """One field of a record as it is in Redis."""

    name: str
    size: int
    """Bytes of its value."""
    head: bytes
    """The first 200 bytes of the value."""


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A job in quarantine with what its key holds."""

    entry: Quarantined
    kind: str
    """Type of the job's key as Redis names it: `hash` as it should be, `none` when it is gone."""
    fields: tuple[RawField, ...]
    """By name, at most 100. A text has one field without a name; other types have none."""
    fields_left_out: int


@dataclass(frozen=True, slots=True)
class LetOut:
    """What became of a job that was to leave the quarantine."""

    id: str
    outcome: Literal["requeued", "dropped", "released", "unreadable", "absent"]
    """`released`: its record is fine and it has gone another way, so it was only let out. `unreadable`: it stays."""
    detail: str
    """Its queue; where it has gone; why it stays; what was left of it. Empty when there is nothing to say."""


class QuarantineStore:
    """The quarantine of one farm. Raises redis-py's errors."""

    def __init__(self, client: redis.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._keys = keys
        self._rq_keys = rq_keys

    def count(self) -> int:
        """How many jobs are in it."""
        return int(self._client.zcard(self._keys.quarantine))

    def entries(self, limit: int = 100) -> list[Quarantined]:
        """The jobs in it, the latest first."""
        answer = self._client.zrange(self._keys.quarantine, 0, limit - 1, desc=True, withscores=True)
        found = cast("list[tuple[bytes, float]]", answer)
        if not found:
            return []
        reasons = self._client.hmget(self._keys.quarantine_reasons, [job_id for job_id, _ in found])
        assert isinstance(reasons, list)
        return [_entry(id_from(job_id), at, reason) for (job_id, at), reason in zip(found, reasons, strict=True)]

    def record(self, job_id: str) -> QuarantinedRecord:
        """One job with its raw record. Raises JobNotFound when it is not in quarantine."""
        raw = id_to(job_id)
        at = self._client.zscore(self._keys.quarantine, raw)
        if at is None:
            raise JobNotFound(f"job {job_id} is not in quarantine: `farm quarantine list` shows which are")
        reason = self._client.hget(self._keys.quarantine_reasons, raw)
        assert isinstance(at, float)
        kind, count, *parts = self._scripts.run(
            "peek", [self._rq_keys.job("").encode() + raw], [FIELDS_SHOWN, BYTES_SHOWN]
        )
        fields = [RawField(text(name), size, head) for name, size, head in _triples(parts)]
        return QuarantinedRecord(
            entry=_entry(job_id, at, reason),
            kind=text(kind),
            fields=tuple(sorted(fields, key=lambda field: field.name)),
            fields_left_out=max(0, count - len(fields)) if kind == b"hash" else 0,
        )

    def requeue(self, job_ids: Iterable[str]) -> list[LetOut]:
        """Puts those back whose records can be read by now: at the heads of their queues, in this order."""
        listed = list(job_ids)
        starts = range(0, len(listed), PAGE_SIZE)
        # The last page first: each goes before those that are there.
        pages = [self._run("requeue_quarantined", listed[start : start + PAGE_SIZE]) for start in reversed(starts)]
        return [answer for page in reversed(pages) for answer in page]

    def drop(self, job_ids: Iterable[str]) -> list[LetOut]:
        """Takes ids and reasons out of the quarantine, and deletes the jobs' hashes. One answer for each, in order.

        A job that runs, has ended or waits in its queue is kept: it is only let out.
        """
        listed = list(job_ids)
        pages = (listed[start : start + PAGE_SIZE] for start in range(0, len(listed), PAGE_SIZE))
        return [answer for page in pages for answer in self._run("drop_quarantined", page)]

    def _run(self, script: str, page: Sequence[str]) -> list[LetOut]:
        keys = self._keys
        answer = self._scripts.run(
            script,
            [keys.quarantine, keys.quarantine_reasons, keys.identities, keys.lost],
            [self._rq_keys.prefix, keys.host(""), *map(id_to, page)],
        )
        texts: list[Any] = [text(part) for part in answer]
        return [LetOut(*each) for each in zip(page, texts[::2], texts[1::2], strict=True)]


def _entry(job_id: str, at: float, reason: object) -> Quarantined:
    told = text(reason) if isinstance(reason, bytes) else ""
    return Quarantined(job_id, moment(float(at)), told or UNKNOWN_REASON)


def _triples(parts: Sequence[bytes]) -> list[tuple[bytes, int, bytes]]:
    return list(zip(parts[::3], parts[1::3], parts[2::3], strict=True))  # type: ignore[arg-type]
