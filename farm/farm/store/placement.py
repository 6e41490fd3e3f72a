"""What placement reads and writes: hosts with room, queues with jobs, ids into inboxes."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.leadership import LeaderScripts
from farm.store.line import Line
from farm.store.scripts import AsyncScripts

MAX_PLAN = 500
"""Jobs in one call of the script: under a millisecond of Redis's time."""

UNREADABLE = -1
"""Length of a queue whose key is not a list."""


@dataclass(frozen=True, slots=True)
class HostView:
    """A host as its last beat and Redis describe it."""

    name: str
    identity: str
    beat_age: float
    """Seconds since the last beat, by Redis's clock."""
    state: str
    """`starting`, `available`, `full`, `draining` or `unhealthy`."""
    load: float
    threshold: float
    slots: int
    busy: int
    assigned: int
    """Jobs held (inbox and running) when it last beat."""
    held: int
    """Jobs held now."""
    capacity: int
    prefetch: int
    queues: tuple[str, ...]
    """In the host's own order."""
    boot_id: str = ""
    reason: str = ""
    dequeue_strategy: str = ""
    """`default`: the first queue before the others; `round_robin`, `random`. Empty: of an older host, which takes
    nothing by itself."""

    @property
    def room(self) -> int:
        """How many more jobs it takes."""
        return max(0, self.capacity - self.held)


@dataclass(frozen=True, slots=True)
class Survey:
    """The farm at one moment."""

    now: float
    """Unix seconds by Redis's clock."""
    suspended: bool
    hosts: tuple[HostView, ...]
    waiting: dict[str, int]
    """Length of each queue that RQ or a host knows; UNREADABLE for a key of the wrong type."""


@dataclass(frozen=True, slots=True)
class Placed:
    """What one call of the script placed."""

    on_host: dict[str, int]
    from_queue: dict[str, int]
    unreadable: tuple[str, ...]
    """Queues whose key is not a list."""

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
        )


class PlacementStore:
    """Reads the farm, and places. Remembers which hosts and queues there are, so that a survey is one call."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys) -> None:
        self._scripts = AsyncScripts(client, Line(client))
        self._keys = keys
        self._rq_keys = rq_keys
        self._members: tuple[tuple[str, str], ...] = ()
        self._queues: tuple[str, ...] = ()

    async def survey(self) -> Survey:
        """The farm now. A second call is needed only when hosts or queues came or went."""
        for _ in range(3):
            answer = await self._read()
            members = _members(answer[3][0])
            views = _host_views(float(answer[0]), members, answer[3][1:]) if self._knows(members) else ()
            queues = self._all_queues(answer[2], views)
            if self._knows(members) and set(queues) == set(self._queues):
                break
            self._members, self._queues = tuple((name, identity) for name, _, identity in members), queues
        waiting = dict(zip(self._queues, answer[4], strict=False))
        return Survey(float(answer[0]), bool(answer[1]), views, waiting)

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
        arguments.append("".join(f"{index + 1}," for index in plan[:MAX_PLAN]))
        for host in hosts:
            name, identity = host.name, host.identity
            names += keys.host(name), keys.inbox(name, identity), keys.running(name, identity), keys.host_bell(name)
            arguments += name, identity, "".join(f"{numbers[queue]}," for queue in host.queues)
        on_host, from_queue = await leader.run("place", names, arguments)
        return Placed(
            on_host={host.name: count for host, count in zip(hosts, on_host, strict=True) if count},
            from_queue={queue: count for queue, count in zip(queues, from_queue, strict=True) if count > 0},
            unreadable=tuple(queue for queue, count in zip(queues, from_queue, strict=True) if count == UNREADABLE),
        )

    async def reserve(self, leader: LeaderScripts, changes: Mapping[str, HostView | None]) -> None:
        """Says which host takes the next jobs of a queue by itself; None: no host does. Raises NotLeader."""
        bells = {self._keys.host_bell(host.name): None for host in changes.values() if host is not None}
        arguments: list[str] = []
        for queue, host in changes.items():
            arguments += queue, "" if host is None else f"{host.name}|{host.identity}"
        await leader.run("reserve", [self._keys.reserved, *bells], arguments)

    async def _read(self) -> Any:
        keys, rq_keys = self._keys, self._rq_keys
        names = [keys.hosts, keys.identities, rq_keys.suspended, rq_keys.queues]
        for name, identity in self._members:
            names += keys.host(name), keys.inbox(name, identity), keys.running(name, identity)
        names += [rq_keys.queue(queue) for queue in self._queues]
        return await self._scripts.run("survey", names, [len(self._members)])

    def _knows(self, members: list[tuple[str, float, str]]) -> bool:
        return self._members == tuple((name, identity) for name, _, identity in members)

    def _all_queues(self, known_to_rq: list[bytes], views: Sequence[HostView]) -> tuple[str, ...]:
        prefix = self._rq_keys.queue("")
        names = {key.decode(errors="replace").removeprefix(prefix) for key in known_to_rq}
        return tuple(sorted(names.union(*(view.queues for view in views)) - {""}))


def _members(flat: list[bytes]) -> list[tuple[str, float, str]]:
    return sorted(
        (flat[i].decode(errors="replace"), float(flat[i + 1]), flat[i + 2].decode(errors="replace"))
        for i in range(0, len(flat), 3)
    )


def _host_views(now: float, members: list[tuple[str, float, str]], records: list[list[Any]]) -> tuple[HostView, ...]:
    """Hosts without an identity are left out: they hold no lease, and the recoverer removes them."""
    return tuple(
        _host_view(name, identity, now - beat, record)
        for (name, beat, identity), record in zip(members, records, strict=True)
        if identity
    )


def _host_view(name: str, identity: str, beat_age: float, record: list[Any]) -> HostView:
    held = int(record[0])
    state, load, threshold, slots, busy, assigned, capacity, prefetch, queues, boot_id, reason, strategy = (
        value.decode(errors="replace") for value in record[1:]
    )
    return HostView(
        name=name,
        identity=identity,
        beat_age=beat_age,
        state=state or "starting",
        load=_number(load),
        threshold=_number(threshold),
        slots=int(_number(slots)),
        busy=int(_number(busy)),
        assigned=int(_number(assigned)),
        held=held,
        capacity=int(_number(capacity)),
        prefetch=int(_number(prefetch)),
        queues=tuple(queue for queue in queues.split(",") if queue),
        boot_id=boot_id,
        reason=reason,
        dequeue_strategy=strategy,
    )


def _number(text: str) -> float:
    """A published number; 0 for text that is none, so that one broken record cannot stop the others."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
