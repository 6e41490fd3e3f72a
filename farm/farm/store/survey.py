"""Looking at the farm: which hosts have room, which queues have jobs.

A look reads the hosts that beat since the look before, and asks those that hold jobs how many; the others are as they
were. Now and then, and whenever something does not fit, it reads all.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.store.line import Line
from farm.store.scripts import AsyncScripts

UNREADABLE = -1
"""Length of a queue whose key is not a list."""

WHOLE_SECONDS = 1.0
"""A look reads all hosts when the last one that did is older. What no beat tells (a step of Redis's clock, keys that
somebody changed by hand, a lease that a host without jobs took again) is seen by then."""

EVER = "-inf"
TRIES = 3


@dataclass(frozen=True, slots=True)
class HostView:
    """A host as its last beat and Redis describe it."""

    name: str
    identity: str
    beat_at: float
    """Of the last beat, Unix seconds by Redis's clock."""
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
    queues: tuple[str, ...]
    """In the host's own order."""
    boot_id: str = ""
    reason: str = ""
    dequeue_strategy: str = ""
    """`default`: the first queue before the others; `round_robin`, `random`. Empty: of an older host, which takes
    nothing by itself."""
    labels: frozenset[str] = frozenset()
    cpu_count: float = 1.0
    """CPUs that it may use; a quota may allow for parts of one."""
    memory_left: int | None = None
    """Bytes until its MEMORY_THRESHOLD when it last beat; None: not known."""
    memory_total: int = 0
    """Bytes; 0: not known."""
    prefetch: int = 0
    """Jobs that may wait in its inbox, part of the capacity; 0 while its jobs are long."""
    others_load: float = 0.0
    """The load that would remain without it."""
    needs: str = ""
    """What its app says that jobs of a queue need, as JSON; empty if it says nothing."""
    load_source: str = ""
    """What decides its load: `cgroup`, `machine`, or `app` for the app's own function. Empty: of an older host."""

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
    """By name."""
    waiting: dict[str, int]
    """Length of each queue that RQ or a host knows; UNREADABLE for a key of the wrong type."""
    particular: frozenset[str] = frozenset()
    """Queues whose first job only some hosts may have."""

    def live_hosts(self, suspect_after: float) -> list[HostView]:
        """Those whose last beat is younger than that, in seconds."""
        return [host for host in self.hosts if self.now - host.beat_at < suspect_after]


class SurveyReader:
    """Looks, and remembers what it saw. One look at a time."""

    def __init__(self, client: redis.asyncio.Redis, line: Line, keys: Keys, rq_keys: RqKeys) -> None:
        self._scripts = AsyncScripts(client, line)
        self._keys = keys
        self._rq_keys = rq_keys
        self._queues: tuple[str, ...] = ()
        self._whole_at = float("-inf")
        """When all was last read, by this machine's clock."""
        self._seen_at: bytes | str = EVER
        """Redis's time of the last look. Nothing is seen before the first."""
        self._hosts: dict[bytes, HostView] = {}
        """By name. Those without identity are among them: they hold no lease, and the recoverer removes them."""
        self._holders: set[bytes] = set()
        """Hosts whose number of jobs may change between their beats."""
        self._takers: frozenset[bytes] = frozenset()
        """Hosts that may take jobs by themselves."""

    def forget(self) -> None:
        """Has the next look read all: others may have placed meanwhile."""
        self._whole_at = float("-inf")

    def expect_jobs(self, hosts: Iterable[HostView]) -> None:
        """Jobs are given to these hosts now. Said before: the answer may be lost."""
        self._holders.update(host.name.encode() for host in hosts)

    def expect_takers(self, names: Iterable[str]) -> None:
        """These hosts, and no others, take jobs by themselves from now on."""
        self._holders |= self._takers  # they may just have taken some
        self._takers = frozenset(name.encode() for name in names)

    async def survey(self) -> Survey:
        """The farm now. A second call is needed only when queues came or went, or when what was seen does not fit."""
        if time.monotonic() - self._whole_at >= WHOLE_SECONDS:
            self._seen_at = EVER
        for _ in range(TRIES):
            began = time.monotonic()
            asked = [] if self._seen_at == EVER else [*(self._holders | self._takers)]
            now, suspended, known_to_rq, members, told, held, lengths, particular = await self._read(asked)
            is_whole = self._seen_at == EVER
            if float(now) < float(self._seen_at) or not self._note(members, told, dict(zip(asked, held, strict=True))):
                self._seen_at = EVER  # Redis's clock went back, or a host is gone
                continue
            self._seen_at, self._whole_at = now, began if is_whole else self._whole_at
            queues = self._all_queues(known_to_rq)
            if queues == self._queues:
                break
            self._queues = queues
        hosts = tuple(host for host in self._hosts.values() if host.identity)
        waiting = dict(zip(self._queues, lengths, strict=False))
        firsts = frozenset(self._queues[number - 1] for number in particular if number <= len(self._queues))
        return Survey(float(now), bool(suspended), hosts, waiting, firsts)

    async def _read(self, asked: Sequence[bytes]) -> Any:
        keys, rq_keys = self._keys, self._rq_keys
        names = [keys.hosts, keys.identities, rq_keys.suspended, rq_keys.queues]
        names += [rq_keys.queue(queue) for queue in self._queues]
        return await self._scripts.run("survey", names, [keys.host(""), self._seen_at, rq_keys.prefix, *asked])

    def _note(self, members: int, told: Iterable[Sequence[Any]], held: Mapping[bytes, int]) -> bool:
        """Brings what is remembered up to date. False if a host is remembered that is gone."""
        hosts = {} if self._seen_at == EVER else self._hosts
        news = {record[0]: _host_view(record) for record in told}
        are_known = news.keys() <= hosts.keys()
        hosts.update(news)
        for name, number in held.items():
            host = hosts.get(name)
            if host is not None and host.held != number:
                hosts[name] = replace(host, held=number)
        self._hosts = hosts if are_known else dict(sorted(hosts.items()))
        self._holders = {name for name in (*news, *held) if name in hosts and hosts[name].held > 0}
        return len(hosts) == members

    def _all_queues(self, known_to_rq: Iterable[bytes]) -> tuple[str, ...]:
        prefix = self._rq_keys.queue("")
        names = {key.decode(errors="replace").removeprefix(prefix) for key in known_to_rq}
        lists = {host.queues for host in self._hosts.values() if host.identity}  # many hosts have the same
        return tuple(sorted(names.union(*lists) - {""}))


def _host_view(record: Sequence[Any]) -> HostView:
    """A line of the script's answer."""
    name, beat_at, identity, held = record[:4]
    text = [value.decode(errors="replace") for value in record[4:]]
    state, load, threshold, slots, busy, assigned, capacity, queues, boot_id, reason, strategy = text[:11]
    labels, cpu_count, memory_left, memory_total, prefetch, others_load, load_source, needs = text[11:]
    return HostView(
        name=name.decode(errors="replace"),
        identity=identity.decode(errors="replace"),
        beat_at=_number(beat_at),
        state=state or "starting",
        load=_number(load),
        threshold=_number(threshold),
        slots=int(_number(slots)),
        busy=int(_number(busy)),
        assigned=int(_number(assigned)),
        held=held,
        capacity=int(_number(capacity)),
        queues=tuple(queue for queue in queues.split(",") if queue),
        boot_id=boot_id,
        reason=reason,
        dequeue_strategy=strategy,
        labels=frozenset(label for label in labels.split(",") if label),
        cpu_count=_number(cpu_count) or 1.0,
        memory_left=int(_number(memory_left)) if memory_left else None,
        memory_total=int(_number(memory_total)),
        prefetch=int(_number(prefetch)),
        others_load=_number(others_load),
        load_source=load_source,
        needs=needs,
    )


def _number(text: str | bytes) -> float:
    """A published number; 0 for text that is none, so that one broken record cannot stop the others."""
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
