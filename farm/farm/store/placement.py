"""What placement does: ids from queues into inboxes, and whom a queue is reserved for."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.front import FrontReader
from farm.store.leadership import LeaderScripts
from farm.store.line import Line
from farm.store.survey import UNREADABLE, HostView, Survey, SurveyReader

MAX_PLAN = 500
"""Jobs in one call of the script: under a millisecond of Redis's time."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What one call of the script placed."""

    on_host: dict[str, int]
    from_queue: dict[str, int]
    unreadable: tuple[str, ...]
    """Queues whose key is not a list."""
    particular: frozenset[str] = frozenset()
    """Queues that go on with a job that only some hosts may have."""

    @property
    def total(self) -> int:
        """Number of jobs placed."""
        return sum(self.on_host.values())

    def with_more(self, other: "Placed") -> "Placed":
        """Both together."""
        return Placed(
            on_host=dict(Counter(self.on_host) + Counter(other.on_host)),
            from_queue=dict(Counter(self.from_queue) + Counter(other.from_queue)),
            unreadable=tuple({*self.unreadable, *other.unreadable}),
            particular=self.particular | other.particular,
        )


class PlacementStore:
    """Looks at the farm, and places. A look after a placement asks the hosts that got something."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys, line: Line | None = None) -> None:
        line = line or Line(client)
        self._reader = SurveyReader(client, line, keys, rq_keys)
        self.fronts = FrontReader(client, rq_keys, line)
        """For looks at single queues."""
        self._keys = keys
        self._rq_keys = rq_keys
        self._reserved_for: dict[str, str] = {}
        """Queue → name of the host, as said here."""
        self._sole: frozenset[tuple[str, str]] = frozenset()
        """Names and identities of the hosts that are, as said here."""

    async def survey(self) -> Survey:
        """The farm now. Raises redis-py's errors."""
        return await self._reader.survey()

    def begin(self) -> None:
        """The caller leads from now on: what another leader did is not known here."""
        self._reserved_for, self._sole = {}, frozenset()
        self._reader.expect_takers(())
        self._reader.forget()

    async def place(
        self, leader: LeaderScripts, hosts: Sequence[HostView], plan: Sequence[int], suspect_after: float
    ) -> Placed:
        """Carries out a plan: indexes into `hosts`, one per job, at most MAX_PLAN. Raises NotLeader."""
        queues = sorted({queue for host in hosts for queue in host.queues})
        numbers = {queue: number for number, queue in enumerate(queues, 1)}
        keys, rq_keys = self._keys, self._rq_keys
        names = [rq_keys.suspended, keys.hosts, keys.identities]
        for queue in queues:
            names += rq_keys.queue(queue), keys.deferral(queue), keys.deferred(queue)
        arguments: list[str | float] = [suspect_after, len(queues), len(hosts)]
        arguments += "".join(f"{index + 1}," for index in plan[:MAX_PLAN]), rq_keys.prefix
        for host in hosts:
            name, identity = host.name, host.identity
            names += keys.host(name), keys.inbox(name, identity), keys.running(name, identity), keys.host_bell(name)
            arguments += name, identity, "".join(f"{numbers[queue]}," for queue in host.queues)
        self._reader.expect_jobs(hosts)
        on_host, from_queue, particular = await leader.run("place", names, arguments)
        return Placed(
            on_host={host.name: count for host, count in zip(hosts, on_host, strict=True) if count},
            from_queue={queue: count for queue, count in zip(queues, from_queue, strict=True) if count > 0},
            unreadable=tuple(queue for queue, count in zip(queues, from_queue, strict=True) if count == UNREADABLE),
            particular=frozenset(queue for queue, is_one in zip(queues, particular, strict=True) if is_one),
        )

    async def assign(
        self,
        leader: LeaderScripts,
        hosts: Sequence[HostView],
        assigned: Sequence[tuple[str, bytes, int]],
        suspect_after: float,
    ) -> list[bool]:
        """Places named jobs: queue, id, index into `hosts`. Returns which of them were placed. Raises NotLeader."""
        queues = list(dict.fromkeys(queue for queue, _, _ in assigned))
        chosen = list(dict.fromkeys(index for _, _, index in assigned))
        keys, rq_keys = self._keys, self._rq_keys
        names = [rq_keys.suspended, keys.hosts, keys.identities]
        for queue in queues:
            names += rq_keys.queue(queue), keys.deferral(queue), keys.deferred(queue)
        arguments: list[str | bytes | float] = [suspect_after, len(queues), len(chosen)]
        for host in (hosts[index] for index in chosen):
            name, identity = host.name, host.identity
            names += keys.host(name), keys.inbox(name, identity), keys.running(name, identity), keys.host_bell(name)
            arguments += name, identity
        for queue, job_id, index in assigned:
            arguments += job_id, queues.index(queue) + 1, chosen.index(index) + 1
        self._reader.expect_jobs([hosts[index] for index in chosen])
        return [bool(placed) for placed in await leader.run("assign", names, arguments)]

    async def reserve(
        self, leader: LeaderScripts, changes: Mapping[str, HostView | None], sole: Collection[HostView]
    ) -> None:
        """Says which host takes the next jobs of a queue by itself; None: no host does. Raises NotLeader.

        `sole`: all hosts that may do so whenever they have room. Those that become it, or are it no more, look at once.
        """
        names = frozenset((host.name, host.identity) for host in sole)
        told = {name for name, _ in self._sole ^ names} | {host.name for host in changes.values() if host is not None}
        bells = [self._keys.host_bell(name) for name in sorted(told)]
        arguments: list[str | int] = [len(changes)]
        for queue, host in changes.items():
            arguments += queue, "" if host is None else f"{host.name}|{host.identity}"
        for host in sole:
            arguments += host.name, host.identity
        self._sole = names
        self._reserved_for |= {queue: host.name for queue, host in changes.items() if host is not None}
        self._reader.expect_takers({*self._reserved_for.values(), *(name for name, _ in names)})
        await leader.run("reserve", [self._keys.reserved, self._keys.sole, *bells], arguments)
