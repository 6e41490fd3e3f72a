"""Finding what is left over, and mending it: jobs and records that nobody answers for any more.

Looking writes nothing and needs no lead. Mending needs the lead, and looks at each again in the step that changes it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.records import failure_text
from farm.store.leadership import LeaderScripts
from farm.store.scripts import Argument, AsyncScripts

Kind = Literal["started", "queued", "popped", "execution", "stump"]
KINDS: tuple[Kind, ...] = ("started", "queued", "popped", "execution", "stump")

PAGE_SIZE = 100
"""Keys looked at in one call: less than a millisecond of Redis."""
QUEUES_AT_ONCE = 20
ENTRIES_AT_ONCE = 100
"""Of each registry."""
MENDED_AT_ONCE = 100


@dataclass(frozen=True, slots=True, order=True)
class Leftover:
    """Something that nobody answers for.

    started    a job that counts as started, and nobody runs it
    queued     a job that counts as queued, and is in no list: a stock worker popped it and was killed
    popped     an id in a stock worker's list of popped ones that was never started
    execution  RQ's record of a run whose job is gone or not started
    stump      a job's hash without payload, or without a queue to wait in
    """

    kind: Kind
    id: str
    queue: str = ""
    execution: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of Redis's keys."""

    cursor: int
    """Where the next page begins; 0 after the last."""
    jobs: tuple[str, ...]
    executions: tuple[str, ...]
    """`<job>:<execution>`."""

    def __len__(self) -> int:
        return len(self.jobs) + len(self.executions)


class LeftoverReader:
    """Looks, page by page. Raises redis-py's errors."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._client = client
        self._scripts = AsyncScripts(client)
        self._keys = keys
        self._rq_keys = rq_keys
        self._job_prefix = rq_keys.job("")
        self._execution_prefix = rq_keys.execution("")
        # One pass finds both `rq:job:` and `rq:execution:`.
        self._pattern = re.sub(r"([*?\[\]\\])", r"\\\1", rq_keys.prefix) + ":[je]*"

    async def page(self, cursor: int) -> Page:
        """The next page, from `cursor` (0 at first). It may be empty and not be the last."""
        answer: Any = await self._client.scan(cursor, match=self._pattern, count=PAGE_SIZE)
        next_cursor, found = answer
        names = [key.decode(errors="surrogateescape") for key in found]
        return Page(
            int(next_cursor),
            tuple(name.removeprefix(self._job_prefix) for name in names if self._is_job(name)),
            tuple(
                name.removeprefix(self._execution_prefix) for name in names if name.startswith(self._execution_prefix)
            ),
        )

    async def look_over(self, page: Page) -> list[Leftover]:
        """What of this page is left over: kinds started, queued, stump, execution."""
        if not page:
            return []
        keys = self._keys
        arguments: list[Argument] = [self._rq_keys.prefix, keys.host(""), len(page.jobs)]
        arguments += map(_argument, [*page.jobs, *page.executions])
        return _leftovers(
            await self._scripts.run("look_over_jobs", [keys.identities, keys.lost, keys.quarantine], arguments)
        )

    async def look_over_queues(self, queues: Sequence[str]) -> list[Leftover]:
        """What the registries of at most QUEUES_AT_ONCE queues name: kinds started, execution, popped."""
        keys, rq_keys = self._keys, self._rq_keys
        names = [keys.identities, keys.lost, keys.quarantine]
        names += [key for queue in queues for key in (rq_keys.started(queue), rq_keys.intermediate(queue))]
        arguments: list[Argument] = [rq_keys.prefix, keys.host(""), ENTRIES_AT_ONCE, *queues]
        return _leftovers(await self._scripts.run("look_over_queues", names, arguments))

    def _is_job(self, name: str) -> bool:
        return name.startswith(self._job_prefix) and not name.endswith((":dependents", ":dependencies"))


class MendingStore:
    """Mends what is left over."""

    def __init__(self, keys: Keys, rq_keys: RqKeys, max_host_losses: int, on_lost: str) -> None:
        self._keys = keys
        self._prefixes: tuple[str, str] = (rq_keys.prefix, keys.host(""))
        self._max_host_losses = max_host_losses
        self._on_lost = on_lost

    async def mend(self, leader: LeaderScripts, kind: Kind, leftovers: Sequence[Leftover]) -> int:
        """Mends at most MENDED_AT_ONCE of one kind; how many were, as some may be in order by now.

        Raises NotLeader, and redis-py's errors.
        """
        if kind == "started":
            return await self._mend_started(leader, [_argument(leftover.id) for leftover in leftovers])
        if kind == "stump":
            return await self._mend_stumps(leader, [_argument(leftover.id) for leftover in leftovers])
        keys = self._keys
        names = [keys.identities, keys.lost, keys.quarantine, keys.events, keys.mended]
        if kind == "execution":
            runs = [(one.id, one.queue, one.execution) for one in leftovers]
            return int(await leader.run("mend_executions", names, [*self._prefixes, *_flat(runs)]))
        waiting = [(one.id, one.queue) for one in leftovers]
        return int(await leader.run("mend_waiting", names, [*self._prefixes, kind, *_flat(waiting)]))

    async def _mend_started(self, leader: LeaderScripts, ids: Sequence[bytes]) -> int:
        keys, limit = self._keys, self._max_host_losses
        names = [keys.identities, keys.lost, keys.quarantine, keys.quarantine_reasons, keys.events]
        names += [keys.dependents, keys.mended, keys.follow_ups]
        arguments: list[Argument] = [
            *self._prefixes,
            keys.counts(""),
            limit,
            self._on_lost,
            failure_text(
                f"The job was running {limit + 1} times when its host or worker was lost, and was not started again "
                f"(MAX_HOST_LOSSES={limit})."
            ),
            failure_text("The job was running and its worker is gone; it must not run twice (on_lost=fail)."),
            *ids,
        ]
        return int(await leader.run("mend_started", names, arguments))

    async def _mend_stumps(self, leader: LeaderScripts, ids: Sequence[bytes]) -> int:
        keys = self._keys
        names = [keys.identities, keys.lost, keys.quarantine, keys.quarantine_reasons, keys.events, keys.mended]
        deleted, quarantined = await leader.run("mend_stumps", names, [*self._prefixes, *ids])
        return int(deleted) + int(quarantined)


def _leftovers(answer: Sequence[bytes]) -> list[Leftover]:
    words = [word.decode(errors="surrogateescape") for word in answer]
    rows: Iterable[Any] = zip(words[::4], words[1::4], words[2::4], words[3::4], strict=True)
    return [Leftover(kind, job_id, queue, execution) for kind, job_id, queue, execution in rows]


def _flat(rows: Iterable[Sequence[str]]) -> list[Argument]:
    return [_argument(word) for row in rows for word in row]


def _argument(word: str) -> bytes:
    return word.encode(errors="surrogateescape")
