"""Putting new jobs into their queues, many in one message. Their records come ready: nothing of RQ is known here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import redis

from farm.keys import RqKeys
from farm.store.direct import Direct
from farm.store.enqueue_message import Blank, EnqueueMessage, Own, arguments_of
from farm.store.scripts import Argument, Scripts

PAGE_SIZE = 1000
"""Jobs that one call of the script enqueues. Lua takes some thousands of arguments at once."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """What one job has for itself."""

    id: str
    data: bytes
    """Its function and arguments, as RQ packs them."""
    description: str


@dataclass(frozen=True, slots=True)
class NewJobs:
    """Jobs for one queue that differ in nothing else, in the order in which they shall run."""

    queue: str
    at_front: bool
    ttl: int
    """Seconds until the records expire, 0 for never."""
    fields: Mapping[str, Argument]
    """The record of each, in RQ's order; `data` and `description` are filled in."""
    jobs: Sequence[NewJob]


class EnqueueStore:
    """The queues of one Redis. Raises redis-py's errors; a Redis that is full takes nothing."""

    def __init__(self, client: redis.Redis, rq_keys: RqKeys, direct: Direct | None = None) -> None:
        """`direct`: see `Scripts`."""
        self._scripts = Scripts(client, on_full_server=False, direct=direct)
        self._rq_keys = rq_keys
        self._is_direct = direct is not None

    def message(self, queue: str, at_front: bool, ttl: int, record: Mapping[str, Argument | Blank]) -> EnqueueMessage:
        """For `enqueue_one`; its arguments are those of `NewJobs`, with blanks in the record."""
        return EnqueueMessage(self._scripts.digest("enqueue"), self._rq_keys, queue, at_front, ttl, record)

    def enqueue_one(self, message: EnqueueMessage, job_id: str, own: Own) -> None:
        """Enqueues one job with what goes into the blanks."""
        values = (self._rq_keys.job(job_id).encode(), *own)
        if self._is_direct:
            self._scripts.run_packed("enqueue", message.packed(values))
        else:
            self._scripts.run("enqueue", *message.keys_and_arguments(values))

    def enqueue(self, batches: Sequence[NewJobs]) -> None:
        """Enqueues all of them, or none, in one round trip."""
        # What goes to the front goes before what is there: the last of it first.
        front = [batch for batch in reversed(batches) if batch.at_front]
        ordered = [batch for batch in batches if not batch.at_front] + front
        pages = [page for batch in ordered for page in self._pages(batch)]
        if len(pages) == 1:
            self._scripts.run("enqueue", *pages[0])
        elif pages:
            self._scripts.run_together("enqueue", pages)

    def _pages(self, batch: NewJobs) -> Iterator[tuple[list[str], list[Argument]]]:
        first_job = arguments_of(self._rq_keys, batch.at_front, batch.ttl, batch.fields)
        data, description = (5 + 2 * int(place) for place in first_job[4:6])  # of their values
        starts = range(0, len(batch.jobs), PAGE_SIZE)
        for first in reversed(starts) if batch.at_front else starts:
            jobs = batch.jobs[first : first + PAGE_SIZE]
            keys = [
                self._rq_keys.queues,
                self._rq_keys.queue(batch.queue),
                *(self._rq_keys.job(job.id) for job in jobs),
            ]
            first_job[data], first_job[description] = jobs[0].data, jobs[0].description
            yield keys, first_job + [text for job in jobs[1:] for text in (job.data, job.description)]
