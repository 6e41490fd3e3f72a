"""Giving up hosts whose beat stopped, and giving their jobs back."""

from dataclasses import dataclass
from typing import Any

import redis.asyncio

from farm.keys import Keys, RqKeys
from farm.records import Lease, failure_text
from farm.store import evidence
from farm.store.leadership import LeaderScripts
from farm.store.line import Line
from farm.store.scripts import Argument

PAGE_SIZE = 100
"""Jobs given back in one call of the script."""


@dataclass(frozen=True, slots=True)
class SilentHost:
    """A host in question: no beat for a while, or none at all."""

    name: str
    identity: str
    """Empty if the host has a beat and no identity."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of the jobs of one lost host."""

    given_back: int = 0
    failed: int = 0
    dropped: int = 0
    quarantined: int = 0
    left: int = 0


class RecoveryStore:
    """Fences hosts and empties what they left."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys, line: Line | None = None) -> None:
        self._client = client
        self._line = line or Line(client)
        self._keys = keys
        self._rq_keys = rq_keys

    async def silent_hosts(self, host_timeout: float) -> tuple[list[SilentHost], list[SilentHost]]:
        """Hosts whose last beat is older than `host_timeout` by Redis's clock, and hosts that never beat."""
        time, beats, pairs = await self._line.ask_all(
            ("TIME",), ("ZRANGE", self._keys.hosts, 0, -1, "WITHSCORES"), ("HGETALL", self._keys.identities)
        )
        limit = int(time[0]) + int(time[1]) / 1e6 - host_timeout
        identities = dict(zip(pairs[::2], pairs[1::2], strict=True))
        silent = [
            _silent(name, identities)
            for name, beat in zip(beats[::2], beats[1::2], strict=True)
            if float(beat) <= limit
        ]
        without_beat = identities.keys() - set(beats[::2])
        return silent, [_silent(name, identities) for name in sorted(without_beat)]

    async def fence(self, leader: LeaderScripts, host: SilentHost, host_timeout: float) -> bool:
        """Gives the host up unless it beat again. From then on it can write nothing."""
        keys, rq_keys, name = self._keys, self._rq_keys, host.name
        queues: Any = await self._client.hget(keys.host(name), "queues")
        recorded: Any = await self._client.hget(rq_keys.worker(name), "queues")
        listened = {queue for text in (queues, recorded) if text for queue in text.decode(errors="replace").split(",")}
        names = [keys.identities, keys.hosts, keys.load, keys.host(name), keys.lost, keys.events]
        names += [rq_keys.workers, rq_keys.worker(name), rq_keys.worker_executions(name)]
        names += [keys.receipts(name, host.identity)]
        names += [rq_keys.queue_workers(queue) for queue in sorted(listened - {""})]
        return bool(await leader.run("fence", names, [name, host.identity, host_timeout]))

    async def lost(self, at_most: int = 100) -> list[str]:
        """Members `<host>:<identity>` whose jobs were not all given back, longest lost first."""
        members: Any = await self._line.ask_one("ZRANGE", self._keys.lost, 0, at_most - 1)
        return [member.decode(errors="replace") for member in members]

    async def recover(self, leader: LeaderScripts, member: str, max_host_losses: int, so_far: int) -> Recovered:
        """Gives back one page of what a lost host held. `so_far` is the number for the event at the end."""
        host, _, identity = member.rpartition(":")
        keys = self._keys
        names = [keys.lost, keys.inbox(host, identity), keys.running(host, identity), keys.receipts(host, identity)]
        names += [keys.quarantine, keys.quarantine_reasons, keys.events, keys.dependents, keys.follow_ups]
        arguments: list[Argument] = [
            member,
            host,
            self._rq_keys.prefix,
            keys.counts(""),
            max_host_losses,
            PAGE_SIZE,
            so_far,
            failure_text(_too_many_losses(host, max_host_losses)),
            failure_text(f"The host {host} was lost while it ran the job, which must not run twice (on_lost=fail)."),
            *await self._texts_with_evidence(host, names[2], max_host_losses),
        ]
        left, given, failed, dropped, quarantined = await leader.run("recover", names, arguments)
        return Recovered(given, failed, dropped, quarantined, left)

    async def _texts_with_evidence(self, host: str, running: str, max_host_losses: int) -> list[Argument]:
        """`id, text, …` of jobs that were lost too often: the failure's text, which no script can compress.

        A fenced host writes nothing any more, so what is read here is what the script finds.
        """
        leases: Any = await self._client.hgetall(running)
        often = [job_id for job_id, lease in leases.items() if _attempt(lease) > max_host_losses]
        async with self._client.pipeline(transaction=False) as pipeline:
            for job_id in often:
                pipeline.hget(self._rq_keys.job("").encode() + job_id, evidence.FIELD)
            found = await pipeline.execute(raise_on_error=False)
        texts: list[Argument] = []
        for job_id, field in zip(often, found, strict=True):
            ends = evidence.parse(field) if isinstance(field, bytes) else ()
            text = f"{_too_many_losses(host, max_host_losses)}\n\nBefore that:\n{evidence.reports(ends)}"
            texts += [job_id, failure_text(text)] if ends else []
        return texts


def _attempt(lease: bytes) -> int:
    try:
        return Lease.parse(lease.decode(errors="replace")).attempt
    except ValueError:
        return 0


def _too_many_losses(host: str, limit: int) -> str:
    return (
        f"The job was running on {limit + 1} hosts that were lost one after the other, the last one {host}, "
        f"and was not started again (MAX_HOST_LOSSES={limit})."
    )


def _silent(name: bytes, identities: dict[bytes, bytes]) -> SilentHost:
    return SilentHost(name.decode(errors="replace"), identities.get(name, b"").decode(errors="replace"))
