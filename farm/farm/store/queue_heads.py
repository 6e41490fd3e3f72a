"""What waits longest in queues, and scheduled jobs that are due while nobody moves them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis

from farm.keys import RqKeys
from farm.store.raw_fields import moment

LOOKED_AT = 5
"""Jobs at the head of each queue: one that was put there last may be younger than those behind it."""


@dataclass(frozen=True, slots=True)
class QueueHead:
    """The head of one queue."""

    waiting_since: float | None
    """Unix seconds: when the oldest of its first jobs was enqueued; None if nothing waits or nothing tells."""
    due: int
    """Scheduled jobs whose time has come and that wait to be moved to the queue."""


def read_heads(client: redis.Redis, rq_keys: RqKeys, queues: Sequence[str], now: float) -> dict[str, QueueHead]:
    """The heads of these queues, in two round trips. Keys of a wrong type count as empty."""
    with client.pipeline(transaction=False) as pipeline:
        for queue in queues:
            pipeline.lrange(rq_keys.queue(queue), 0, LOOKED_AT - 1)
            pipeline.zcount(rq_keys.scheduled(queue), "-inf", now)
        answers = _execute(pipeline)
    ids = dict(zip(queues, answers[::2], strict=True))
    due = dict(zip(queues, answers[1::2], strict=True))
    with client.pipeline(transaction=False) as pipeline:
        asked = [(queue, job_id) for queue in queues for job_id in ids[queue] or ()]
        for _, job_id in asked:
            pipeline.hget(rq_keys.job("").encode() + job_id, "enqueued_at")
        times = _execute(pipeline)
    since: dict[str, float] = {}
    for (queue, _), written in zip(asked, times, strict=True):
        enqueued_at = moment(written) if isinstance(written, bytes) else None
        if enqueued_at is not None:
            since[queue] = min(since.get(queue, enqueued_at.timestamp()), enqueued_at.timestamp())
    return {queue: QueueHead(since.get(queue), int(due[queue] or 0)) for queue in queues}


def _execute(pipeline: Any) -> list[Any]:
    """The answers; None where the server says no."""
    answers = pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, redis.ResponseError):
            raise answer
    return [None if isinstance(answer, Exception) else answer for answer in answers]
