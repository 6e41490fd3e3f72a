"""The hot path of a host in Redis: start jobs, record how they ended, give them back."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import redis.asyncio

from farm.ending import Ending
from farm.keys import Keys, RqKeys
from farm.packed import pack, pack_array
from farm.records import iso_now
from farm.store.hosts import Registration
from farm.store.line import Line
from farm.store.queue_watch import QueueWatch, queue_keys
from farm.store.scripts import Argument, AsyncScripts
from farm.store.started import StartedJob, on_lost_arguments, read_started

DRAINS_TOLD = 3
"""A job that hosts handed back so often when they stopped is an event, each time from then on."""

RECEIPTS = 64
"""How many finish batches Redis remembers: a repeat after a lost reply gets the same answers."""

DECLINE_SECONDS = 10
"""A job that a host declined is not offered to it again for so long."""

DECLINE_REASON_CHARACTERS = 200

START_PAYLOAD_BYTES = 1 << 20
"""A start batch ends after this many bytes of payload, so that one reply stays quick."""


@dataclass(frozen=True, slots=True)
class FinishBatch:
    """Endings to be written in one call, with the name under which Redis remembers the answers."""

    number: int
    name: str
    endings: Sequence[Ending]


@dataclass(frozen=True, slots=True)
class StartBatch:
    """A request for jobs, with the name that makes a repeat return the same ones."""

    name: str
    limit: int
    from_queues: bool = False
    """Goes on with the queues of the host, which no other host serves, once its inbox is empty."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What one exchange brought."""

    answers: Sequence[str]
    """One per ending, see `finish.lua`."""
    started: Sequence[StartedJob]
    dropped: int
    inbox: int
    """Ids left in the inbox."""
    waits: bool = False
    """Whether a start from the host's queues left jobs there."""


def new_batch_name() -> str:
    """24 hex digits, never used before."""
    return secrets.token_hex(12)


class ExecutionStore:
    """Start, finish and hand back for one registration. Raises HostFenced when the host was given up."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        keys: Keys,
        rq_keys: RqKeys,
        *,
        max_crashes: int,
        on_lost: str,
        on_lost_of_queues: Mapping[str, str],
        queues: Sequence[str] = (),
    ) -> None:
        """`queues`: of the host, in its own order."""
        self._queues = queues
        self._scripts = AsyncScripts(client, Line(client))
        self._keys = keys
        self._rq_keys = rq_keys
        self._counts_prefix = keys.counts("")
        self._max_crashes = max_crashes
        self._on_lost = on_lost_arguments(on_lost, on_lost_of_queues)

    async def exchange(
        self, who: Registration, finish: FinishBatch | None, start: StartBatch | None, inbox: int
    ) -> Exchange:
        """Writes endings and takes jobs, in one round trip. `inbox` is the length known before."""
        calls: list[tuple[str, list[str], list[Argument]]] = []
        if finish is not None:
            calls.append(("finish", self._finish_keys(who), self._finish_arguments(who, finish)))
        if start is not None:
            calls.append(("start", self._start_keys(who, start), self._start_arguments(who, start)))
        replies = await self._scripts.run_together(calls)
        if any(reply[0] == b"fenced" for reply in replies):
            raise who.fenced()
        answers: list[str] = []
        started: list[StartedJob] = []
        dropped, waits = 0, False
        if finish is not None:
            inbox, answers = replies[0][1], [answer.decode() for answer in replies[0][2:]]
        if start is not None:
            _, inbox, waits, dropped, *jobs = replies[-1]
            started = [read_started(job) for job in jobs]
        return Exchange(answers, started, dropped, inbox, bool(waits))

    def watch(self, client: redis.asyncio.Redis, queue: str) -> QueueWatch:
        """For a queue that may be reserved for this host. `client`: whose address and name its connection has."""
        return QueueWatch(client, self._keys, self._rq_keys, queue, self._queues, self._on_lost)

    async def hand_back(
        self, who: Registration, leases: Sequence[tuple[bytes, str]], inbox: int, counted_as: str = ""
    ) -> int:
        """Gives back up to `inbox` placed ids and `(job id, token)` of leases, in their order. Returns how many.

        `counted_as` is what they count as in the counts of their queue, if anything; `drained` counts on the jobs too.
        """
        leased = (part for lease in leases for part in lease)
        arguments = (inbox, iso_now(), self._rq_keys.prefix, self._counts_prefix, counted_as, DRAINS_TOLD, *leased)
        return await self._give_back("hand_back", who, [self._keys.inbox(who.host, who.identity)], arguments)

    async def decline(self, who: Registration, declined: Sequence[tuple[bytes, str, str]]) -> int:
        """Gives back leases, `(job id, token, reason)` each, as jobs that are not for this host. Returns how many."""
        leased = (
            part for job_id, token, reason in declined for part in (job_id, token, reason[:DECLINE_REASON_CHARACTERS])
        )
        arguments = (iso_now(), self._rq_keys.prefix, self._counts_prefix, DECLINE_SECONDS, *leased)
        return await self._give_back("decline", who, [], arguments)

    async def _give_back(
        self, script: str, who: Registration, also: Sequence[str], arguments: Sequence[Argument]
    ) -> int:
        """How many went back. `also`: keys of this script alone, which come second."""
        keys = self._keys
        names = [
            keys.identities,
            *also,
            keys.running(who.host, who.identity),
            keys.bell,
            self._rq_keys.worker_executions(who.host),
            keys.quarantine,
            keys.quarantine_reasons,
            keys.events,
        ]
        answer = await self._scripts.run(script, names, [who.host, who.identity, *arguments])
        if answer[0] == b"fenced":
            raise who.fenced()
        return int(answer[1])

    def _finish_keys(self, who: Registration) -> list[str]:
        keys, rq_keys = self._keys, self._rq_keys
        return [
            keys.identities,
            keys.running(who.host, who.identity),
            keys.receipts(who.host, who.identity),
            keys.inbox(who.host, who.identity),
            keys.room,
            rq_keys.worker(who.host),
            rq_keys.worker_executions(who.host),
            keys.events,
            keys.dependents,
            keys.quarantine,
            keys.quarantine_reasons,
            keys.follow_ups,
        ]

    def _finish_arguments(self, who: Registration, batch: FinishBatch) -> list[Argument]:
        return [
            who.host,
            who.identity,
            batch.number % RECEIPTS,
            batch.name,
            iso_now(),
            self._rq_keys.prefix,
            self._counts_prefix,
            self._max_crashes,
            # One argument for all: redis-py packs each argument in Python, and a job has many facts.
            pack_array([ending.packed for ending in batch.endings]),
            pack(
                [
                    (number, int(ending.recorded), ending.fields)
                    for number, ending in enumerate(batch.endings, 1)
                    if ending.recorded or ending.fields
                ]
            ),
        ]

    def _start_keys(self, who: Registration, batch: StartBatch) -> list[str]:
        keys = self._keys
        names = [
            keys.identities,
            keys.inbox(who.host, who.identity),
            keys.running(who.host, who.identity),
            keys.receipts(who.host, who.identity),
            self._rq_keys.suspended,
            keys.quarantine,
            keys.quarantine_reasons,
            keys.events,
            keys.sole,
            keys.host(who.host),
            keys.bell,
        ]
        return names + queue_keys(keys, self._rq_keys, self._queues) if batch.from_queues else names

    def _start_arguments(self, who: Registration, batch: StartBatch) -> list[Argument]:
        return [
            who.host,
            who.identity,
            batch.name,
            batch.limit,
            START_PAYLOAD_BYTES,
            self._rq_keys.prefix,
            self._counts_prefix,
            len(self._queues) if batch.from_queues else 0,
            *self._on_lost,
        ]
