"""A host's own life in Redis: register, beat, leave, and the records by which RQ's tools see it."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio

from farm.aside import from_field
from farm.errors import HostFenced
from farm.keys import Keys, RqKeys
from farm.records import Lease, iso_now, new_identity_suffix
from farm.store.connection import REFUSED, drop_idle_connections
from farm.store.events import announce
from farm.store.function_usage import UsageNotes
from farm.store.scripts import AsyncScripts

HOST_HASH_TTL_SECONDS = 60
"""Fencing deletes the hash of a lost host much earlier; this is for a farm that has no coordinator."""

RQ_WORKER_TTL_SECONDS = 90
EXECUTION_TTL_SECONDS = 90
"""RQ's cleaners judge by their own clocks, so an execution record is always dated well into the future."""

CAMPAIGN_MILLISECONDS = 4000
"""How long a host that won a campaign has to bring up a coordinator before another may try."""


@dataclass(frozen=True, slots=True)
class Registration:
    """Who this host is now. Everything that it writes carries both."""

    host: str
    identity: str

    def fenced(self) -> HostFenced:
        """What is raised once it was given up."""
        return HostFenced(f"host {self.host} ({self.identity}) was given up: its jobs belong to others now")


@dataclass(frozen=True, slots=True)
class NameTaken:
    """Another registration of the same name is alive."""

    pid: int
    hostname: str
    boot_id: str
    pid_namespace: str
    age: float


@dataclass(frozen=True, slots=True)
class OwnQueues:
    """What a host may take by itself."""

    reserved: frozenset[str] = frozenset()
    """Queues whose next jobs it takes while a process idles."""
    is_sole: bool = False
    """No other host serves any of its queues: it takes from them whenever it has room."""


@dataclass(frozen=True, slots=True)
class BeatAnswer:
    """What Redis told the host with its beat."""

    leader: str
    """Name of the leading coordinator, empty if none."""
    campaign_won: bool
    """Nobody leads, and this host is the one to start a coordinator."""
    inbox: int
    suspended: bool
    rq_record_present: bool
    desired: Mapping[str, str] = field(default_factory=dict)
    own: OwnQueues = field(default_factory=OwnQueues)


class HostStore:
    """Calls the scripts of a host's life. Raises HostFenced when the host was given up."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys, host_timeout: float) -> None:
        self._client = client
        self._scripts = AsyncScripts(client)
        self._keys = keys
        self._rq_keys = rq_keys
        self._host_timeout = host_timeout
        self.usage_notes = UsageNotes(client, keys)
        self._suffix = new_identity_suffix()
        """Of the next identity. Kept until a registration is known: one whose reply was lost can be repeated."""

    async def register(
        self, host: str, dead_pid: int | None = None, *, again: bool = False
    ) -> Registration | NameTaken:
        """A new identity for `host`, or who holds the name. `dead_pid` is a registered process known to be dead.

        `again`: it is the same host, which had been given up; what operators want of it stays.
        """
        keys = self._keys
        answer = await self._scripts.run(
            "register",
            [
                keys.identities,
                keys.epochs,
                keys.hosts,
                keys.host(host),
                keys.load,
                keys.lost,
                keys.events,
                keys.processes(host),
                keys.desired(host),
            ],
            [host, self._suffix, self._host_timeout, "" if dead_pid is None else dead_pid, iso_now(), int(again)],
        )
        if answer[0] == b"registered":
            self._suffix = new_identity_suffix()
            return Registration(host, answer[1].decode())
        _, pid, hostname, boot_id, pid_namespace, age = (part.decode() for part in answer)
        return NameTaken(int(pid or 0), hostname, boot_id, pid_namespace, float(age))

    async def own_queues(self, who: Registration) -> OwnQueues:
        """What this host may take by itself now."""
        async with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(self._keys.reserved)
            pipeline.hget(self._keys.sole, who.host)
            reserved, sole = await pipeline.execute()
        own = f"{who.host}|{who.identity}".encode()
        queues = (queue.decode(errors="replace") for queue, value in reserved.items() if value == own)
        return OwnQueues(frozenset(queues), sole == who.identity.encode())

    async def beat(
        self,
        who: Registration,
        record: Mapping[str, str | int | float],
        rq_state: str,
        campaigns: bool,
        processes: Mapping[str, bytes] | None = None,
    ) -> BeatAnswer:
        """Renews the lease and publishes `record`, the fields of the host's hash. Raises HostFenced.

        `processes`: the list of processes anew, name → line (see `process_view`); None leaves it as it is.
        """
        keys, rq_keys = self._keys, self._rq_keys
        fields = [part for pair in record.items() for part in pair]
        lines = [part for pair in (processes or {}).items() for part in pair]
        answer = await self._scripts.run(
            "beat",
            [
                keys.identities,
                keys.hosts,
                keys.host(who.host),
                keys.load,
                keys.desired(who.host),
                keys.coordinator,
                keys.campaign,
                keys.inbox(who.host, who.identity),
                keys.running(who.host, who.identity),
                keys.room,
                rq_keys.worker(who.host),
                rq_keys.worker_executions(who.host),
                rq_keys.suspended,
                keys.processes(who.host),
                keys.reserved,
                keys.bell,
                keys.sole,
            ],
            [
                who.host,
                who.identity,
                HOST_HASH_TTL_SECONDS,
                record["load"],
                CAMPAIGN_MILLISECONDS if campaigns else 0,
                iso_now(),
                rq_state,
                RQ_WORKER_TTL_SECONDS,
                record["capacity"],
                "" if processes is None else len(lines),
                *lines,
                *fields,
            ],
        )
        if answer[0] == 0:
            raise _fenced(who)
        return _beat_answer(answer)

    async def record_executions(self, who: Registration, leases: Sequence[tuple[bytes, str]]) -> None:
        """Writes or renews RQ's execution records of `(job id, token)` that run on."""
        for start in range(0, len(leases), 100):
            page = leases[start : start + 100]
            answer = await self._scripts.run(
                "record",
                [
                    self._keys.identities,
                    self._keys.running(who.host, who.identity),
                    self._rq_keys.worker_executions(who.host),
                ],
                [
                    who.host,
                    who.identity,
                    EXECUTION_TTL_SECONDS,
                    iso_now(),
                    self._rq_keys.prefix,
                    *(part for lease in page for part in lease),
                ],
            )
            if answer == -1:
                raise _fenced(who)

    async def keep_progress(self, who: Registration, progress: Sequence[tuple[bytes, str, bytes]]) -> None:
        """Keeps `(job id, token, what it said)` on the jobs' hashes. A job whose lease is gone is passed over."""
        for start in range(0, len(progress), 100):
            answer = await self._scripts.run(
                "progress",
                [self._keys.identities, self._keys.running(who.host, who.identity)],
                [
                    who.host,
                    who.identity,
                    self._rq_keys.prefix,
                    *(part for one in progress[start : start + 100] for part in one),
                ],
            )
            if answer == -1:
                raise _fenced(who)

    async def write_rq_record(self, host: str, queues: Sequence[str], record: Mapping[str, Any]) -> None:
        """Makes the host visible as an RQ worker, so that `rq info`, dashboards and RQ's commands find it."""
        rq_keys = self._rq_keys
        await self._scripts.run(
            "rq_record",
            [rq_keys.worker(host), rq_keys.workers, *map(rq_keys.queue_workers, queues)],
            [RQ_WORKER_TTL_SECONDS, *(part for pair in record.items() for part in pair)],
        )

    async def own_address(self) -> str:
        """The address from which this host reaches Redis, as Redis sees it: what RQ shows as a worker's."""
        try:
            information: dict[str, Any] = await self._client.client_info()
        except REFUSED:  # may be forbidden
            return "unknown"
        return str(information.get("addr", "")).rpartition(":")[0] or "unknown"

    async def remove_rq_record(self, host: str, queues: Sequence[str]) -> None:
        """Takes the RQ worker away. RQ keeps the hash of a dead worker for a minute, so this does too."""
        rq_keys = self._rq_keys
        worker = rq_keys.worker(host)
        async with self._client.pipeline(transaction=False) as pipeline:  # a full Redis refuses transactions
            pipeline.srem(rq_keys.workers, worker)
            for queue in queues:
                pipeline.srem(rq_keys.queue_workers(queue), worker)
            pipeline.delete(rq_keys.worker_executions(host))
            pipeline.expire(worker, 60)
            pipeline.hset(worker, "death", iso_now())
            pipeline.expire(worker, 60)
            await pipeline.execute()

    async def leave(self, who: Registration) -> None:
        """Ends the registration. What the host still held is given back by the coordinator."""
        keys = self._keys
        await self._scripts.run(
            "leave",
            [
                keys.identities,
                keys.hosts,
                keys.host(who.host),
                keys.load,
                keys.lost,
                keys.inbox(who.host, who.identity),
                keys.running(who.host, who.identity),
                keys.receipts(who.host, who.identity),
                keys.events,
                keys.bell,
                keys.processes(who.host),
                keys.desired(who.host),
            ],
            [who.host, who.identity, iso_now()],
        )

    async def drop_connections(self) -> None:
        """Closes what waits for use: Redis was lost on one connection, and the others are as old."""
        await drop_idle_connections(self._client)

    async def publish_event(self, event: str, fields: Mapping[str, str | int | float]) -> None:
        """One entry on the events stream. For rare things only."""
        await announce(self._client, self._keys, event, fields)

    async def count_refused(self, host: str, queues: Mapping[str, int], job_id: bytes) -> None:
        """Adds to the counts of `queues` (name → outcomes that came too late), with one event that names one job."""
        async with self._client.pipeline(transaction=False) as pipeline:  # a full Redis refuses transactions
            for queue, number in queues.items():
                pipeline.hincrby(self._keys.counts(queue), "refused", number)
            await pipeline.execute(raise_on_error=False)
        fields: dict[str, str | int | float] = {
            "host": host,
            "job": job_id.decode(errors="replace"),
            "outcomes": sum(queues.values()),
        }
        await self.publish_event("write.refused", fields)

    async def leases(self, who: Registration) -> dict[bytes, Lease]:
        """Id → lease of all jobs that this host runs, says Redis. What is no lease is left out."""
        entries: dict[Any, Any] = await self._client.hgetall(self._keys.running(who.host, who.identity))
        leases: dict[bytes, Lease] = {}
        for job_id, text in entries.items():
            with suppress(ValueError):
                leases[job_id] = Lease.parse(text.decode(errors="replace"))
        return leases

    async def retake(self, who: Registration, leases: Mapping[bytes, Lease]) -> dict[bytes, bool]:
        """Takes leases again that Redis lost, id → lease. Returns which of them this host holds. Raises HostFenced."""
        held: dict[bytes, bool] = {}
        items = list(leases.items())
        for start in range(0, len(items), 100):
            page = items[start : start + 100]
            answer = await self._scripts.run(
                "retake",
                [
                    self._keys.identities,
                    self._keys.inbox(who.host, who.identity),
                    self._keys.running(who.host, who.identity),
                ],
                [
                    who.host,
                    who.identity,
                    iso_now(),
                    self._rq_keys.prefix,
                    *(part for job_id, lease in page for part in (job_id, str(lease))),
                ],
            )
            if answer[0] == b"fenced":
                raise _fenced(who)
            held.update((job_id, bool(one)) for (job_id, _), one in zip(page, answer[1:], strict=True))
        return held

    async def unfinished(self, who: Registration, queues: Sequence[str], labels: Collection[str] = ()) -> int:
        """How many jobs wait in `queues` or are this host's, as of one moment: none is between the two.

        Those that were passed over, and require labels that this host has not, are left out. `labels`: of the host.
        """
        held = [self._keys.inbox(who.host, who.identity), self._keys.running(who.host, who.identity)]
        number = int(await self._scripts.run("unfinished", [*held, *map(self._rq_keys.queue, queues)], []))
        if number == 0:
            return 0
        aside: Any = await self._client.hmget(self._keys.aside, list(queues))
        groups = (group for text in aside for group in from_field(text))
        return max(0, number - sum(group.count for group in groups if not set(group.requires).issubset(labels)))

    async def suspended(self) -> bool:
        """Whether `rq suspend` holds."""
        return bool(await self._client.exists(self._rq_keys.suspended))

    async def hosts_on(self, boot_id: str) -> int:
        """How many registered hosts run on the machine with this boot id."""
        names: list[Any] = await self._client.zrange(self._keys.hosts, 0, 999)
        async with self._client.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(self._keys.host(name.decode()), "boot_id")
            return sum(found == boot_id.encode() for found in await pipeline.execute())


def _fenced(who: Registration) -> HostFenced:
    return HostFenced(
        f"host {who.host} ({who.identity}) was given up: no beat for HOST_TIMEOUT, or another host took its name. "
        "Its jobs went back to their queues; it registers anew."
    )


def _beat_answer(answer: list[Any]) -> BeatAnswer:
    _, leader, won, inbox, suspended, present, desired, reserved, is_sole = answer
    pairs = [part.decode(errors="replace") for part in desired]
    return BeatAnswer(
        leader=leader.decode(errors="replace").rpartition(":")[2],
        campaign_won=bool(won),
        inbox=inbox,
        suspended=bool(suspended),
        rq_record_present=bool(present),
        desired=dict(zip(pairs[::2], pairs[1::2], strict=True)),
        own=OwnQueues(frozenset(queue.decode(errors="replace") for queue in reserved), bool(is_sole)),
    )
