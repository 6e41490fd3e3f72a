"""The record of jobs that fit nowhere now. They stay in their queues: it is for those who ask, and a next leader."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from farm.aside import AsideGroup, from_field, to_field
from farm.keys import Keys
from farm.store.leadership import LeaderScripts
from farm.store.scripts import Argument

TTL_SECONDS = 60
"""The leader renews it each second."""


@dataclass(frozen=True, slots=True)
class Change:
    """A group of a queue that came or went, for the stream of events."""

    event: str
    """`deferral.began` or `deferral.ended`."""
    queue: str
    group: AsideGroup
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Indexed:
    """What changes in the index of deferred jobs of one queue."""

    add: Sequence[tuple[bytes, float]] = field(default=())
    """Ids, each with since when."""
    remove: Sequence[bytes] = field(default=())


class AsideStore:
    """Writes the record and reads it."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys) -> None:
        self._client = client
        self._keys = keys

    async def read(self) -> dict[str, tuple[AsideGroup, ...]]:
        """Queue → its groups, as the last leader wrote them. Raises redis-py's errors."""
        fields: Any = await self._client.hgetall(self._keys.aside)
        return {queue.decode(errors="replace"): from_field(text) for queue, text in fields.items()}

    async def write(
        self,
        leader: LeaderScripts,
        groups: Mapping[str, Sequence[AsideGroup]],
        changes: Sequence[Change],
        indexed: Mapping[str, Indexed],
    ) -> None:
        """The record anew; `indexed`: by queue. Raises NotLeader and redis-py's errors."""
        keys = self._keys
        names = [keys.aside, keys.events]
        arguments: list[Argument] = [TTL_SECONDS, len(groups)]
        for queue, of_queue in groups.items():
            arguments += queue, to_field(of_queue)
        arguments.append(len(changes))
        for change in changes:
            group = change.group
            needs = group.needs or "declined"
            arguments += change.event, change.queue, needs, group.reason, group.count, f"{change.seconds:.1f}"
        for queue, index in indexed.items():
            names += keys.deferred(queue), keys.counts(queue)
            arguments.append(len(index.add))
            for job_id, since in index.add:
                arguments += job_id, f"{since:.3f}"
            arguments += len(index.remove), *index.remove
        await leader.run("note_aside", names, arguments)
