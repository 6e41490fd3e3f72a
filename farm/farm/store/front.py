"""Reading the front of a queue: the first jobs of it, with what decides where they may run. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from farm.keys import RqKeys
from farm.store.line import Line
from farm.store.scripts import Argument, AsyncScripts


@dataclass(frozen=True, slots=True)
class SeenJob:
    """A waiting job's fields as they are written; empty where there is none."""

    job_id: bytes
    called: str
    """What its description calls."""
    requires: str
    memory_mb: str
    declined: str


@dataclass(frozen=True, slots=True)
class Seen:
    """The front of one queue at one moment."""

    ids: tuple[bytes, ...]
    """The first ones, as many as were asked for."""
    jobs: tuple[SeenJob, ...]
    """Those of the ranks asked for."""
    others: tuple[SeenJob, ...]
    """Those asked for by name, wherever they are."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be read of a queue's front."""

    ids: int
    """How many ids, from the first."""
    first: int
    last: int
    """Ranks of jobs, both included; none if `last` is less than `first`."""
    others: tuple[bytes, ...] = ()
    """Ids of jobs to be read beside them."""


class FrontReader:
    """Reads fronts of queues, several in one message. Raises redis-py's errors."""

    def __init__(self, client: redis.asyncio.Redis, rq_keys: RqKeys, line: Line | None = None) -> None:
        self._scripts = AsyncScripts(client, line)
        self._rq_keys = rq_keys

    async def read(self, looks: Sequence[tuple[str, Look]]) -> list[Seen]:
        """One answer for each queue that is to be looked at."""
        prefix = self._rq_keys.prefix
        calls: list[tuple[str, Sequence[str], Sequence[Argument]]] = [
            ("look_at_front", [self._rq_keys.queue(queue)], [prefix, look.ids, look.first, look.last, *look.others])
            for queue, look in looks
        ]
        return [_seen(answer) for answer in await self._scripts.run_together(calls)]


def _seen(answer: Sequence[Any]) -> Seen:
    ids, jobs, others = answer
    return Seen(tuple(ids), tuple(map(_seen_job, jobs)), tuple(map(_seen_job, others)))


def _seen_job(row: Sequence[bytes]) -> SeenJob:
    return SeenJob(row[0], *(value.decode(errors="replace") for value in row[1:]))
