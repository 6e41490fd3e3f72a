"""Enqueueing failed jobs anew, from their raw fields: nothing is decoded, and no job is between two places."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import redis

from farm.keys import RqKeys
from farm.store.raw_fields import id_from, id_to, shown, text
from farm.store.scripts import Argument, Scripts

PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Requeued:
    """What became of one job that was to be enqueued anew."""

    id: str
    outcome: Literal["requeued", "gone", "not failed", "unreadable"]
    detail: str
    """Its queue; its status, where it has not failed; why its record cannot be used. Empty for one that is gone."""

    def refusal(self) -> str:
        """Why it was not requeued, and what to do."""
        if self.outcome == "gone":
            return f"job {self.id} is not in this Redis: it was deleted, or it is over and is not kept any longer"
        if self.outcome == "not failed":
            return (
                f"job {self.id} has not failed, it is {shown(self.detail)}: only failed and stopped jobs are requeued"
            )
        return f"the record of job {self.id} cannot be used: {self.detail}. Look at it with `farm job {self.id}`."


class RequeueStore:
    """The failed jobs of one Redis. Raises redis-py's errors."""

    def __init__(self, client: redis.Redis, rq_keys: RqKeys) -> None:
        self._client = client
        self._scripts = Scripts(client)
        self._rq_keys = rq_keys

    def requeue(self, job_ids: Iterable[str]) -> list[Requeued]:
        """Puts failed and stopped jobs at the ends of their queues, in this order. One answer for each, in order."""
        listed = list(job_ids)
        pages = (list(map(id_to, listed[start : start + PAGE_SIZE])) for start in range(0, len(listed), PAGE_SIZE))
        return [answer for page in pages for answer in self._run(page, "", only_failed=False)]

    def requeue_failed(self, queue: str) -> Iterator[list[Requeued]]:
        """All jobs of the queue that failed before this call, in pages: those that failed first, first.

        Jobs that were stopped stay: somebody wanted their end. One that fails again meanwhile is left.
        """
        registry = self._rq_keys.failed(queue)
        left, kept = self._size(registry), 0
        while left > 0:
            found = cast("list[bytes]", self._client.zrange(registry, kept, kept + min(PAGE_SIZE, left) - 1))
            if not found:
                return
            answers = self._run(found, queue, only_failed=True)
            left -= len(found)
            kept += sum(answer.outcome not in ("requeued", "gone") for answer in answers)
            yield answers

    def queues(self) -> list[str]:
        """Names of all queues that RQ knows."""
        prefix = self._rq_keys.queue("")
        keys = (text(key) for key in self._client.sscan_iter(self._rq_keys.queues, count=1000))
        return sorted(key.removeprefix(prefix) for key in keys if key.startswith(prefix))

    def _size(self, registry: str) -> int:
        """A registry that is of another type counts as empty."""
        try:
            return int(self._client.zcard(registry))
        except redis.ResponseError as error:
            if str(error).startswith("WRONGTYPE"):
                return 0
            raise

    def _run(self, page: Sequence[bytes], queue: str, *, only_failed: bool) -> list[Requeued]:
        arguments: list[Argument] = [self._rq_keys.prefix, queue, int(only_failed), *page]
        answer = self._scripts.run("requeue", [self._rq_keys.queues], arguments)
        texts: list[Any] = [text(part) for part in answer]
        return [Requeued(*each) for each in zip(map(id_from, page), texts[::2], texts[1::2], strict=True)]
