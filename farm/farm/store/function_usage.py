"""What functions use: as hosts measured it, kept per queue and function in `farm:usage:<queue>`.

A function's entry is one JSON text with sums and histograms, see `note_usage.lua`, which merges what hosts saw.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
import redis.asyncio

from farm.account import RESOLUTION_SECONDS
from farm.histogram import percentile
from farm.keys import Keys, RqKeys
from farm.store.scripts import Argument, AsyncScripts

KEPT_SECONDS = 30 * 24 * 3600
MOST_KEPT = 1000
"""Functions of a queue; those that were not seen for the longest time are dropped."""

HIGH = 0.95
"""The percentile that the fields `…_high` hold."""

RUNNING_SECONDS = 15.0
"""A job that runs is told of within so long, and again when it has run for half as long again."""

RECENT_SECONDS = 3600.0
"""After so long a job counts half in `jobs`: what a queue holds now is told by what ran lately."""


@dataclass(frozen=True, slots=True)
class FunctionUsage:
    """What a job of one function of one queue uses. Means and percentiles are of the latest jobs, see `note_usage.lua`.

    Jobs that run side by side in one process (threads, coroutines) count with their share, see docs/usage.md.
    """

    queue: str
    function: str
    """As jobs name it. Empty: of jobs that name none."""
    jobs: float
    """How many ended lately: one counts half after an hour, so these tell what the queue is made of. Below 1 for a
    function whose only job still runs."""
    cpus: float
    """Cores busy while one runs, on average: `cpu_seconds` of `wall_seconds`; 1 at most for jobs under 5 ms."""
    memory: int
    """Bytes that one running job adds to its idle process, on average."""
    memory_high: int
    """The 95th percentile, as of all fields with this ending."""
    wall_seconds: float
    """From its start to its end, by the clock, on average."""
    wall_high: float
    wait_seconds: float
    """From when it was enqueued to its start, on average. 0 where no job told."""
    cpu_seconds: float
    """User and system time of one job, with that of the children that it waited for, on average."""
    cpu_seconds_high: float
    seen_at: float
    """Unix seconds by Redis's clock: when a host told of it last."""
    user_seconds: float = 0.0
    """The parts of `cpu_seconds`."""
    system_seconds: float = 0.0
    children_seconds: float = 0.0
    counted: int = 0
    """Jobs that ended since the function is known; none of them is forgotten with time."""


@dataclass(slots=True)
class Seen:
    """What a host saw of one function since it told of that last. Sums, over `weight` jobs that ended."""

    weight: int = 0
    user: float = 0.0
    """Seconds, as all that follow but for `memory` and the counts."""
    system: float = 0.0
    children: float = 0.0
    wall: float = 0.0
    memory: float = 0.0
    """Bytes."""
    waits: int = 0
    """How many of them said how long they had waited."""
    wait: float = 0.0
    cpu_buckets: dict[int, int] = field(default_factory=dict)
    """See `farm.histogram`."""
    wall_buckets: dict[int, int] = field(default_factory=dict)
    memory_buckets: dict[int, int] = field(default_factory=dict)
    running: "Running | None" = None


@dataclass(frozen=True, slots=True)
class Running:
    """What a job has used that goes on."""

    wall: float
    cpu: float
    memory: float


class UsageNotes:
    """How a host tells what it saw. Raises redis-py's errors."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys) -> None:
        self._scripts = AsyncScripts(client)
        self._keys = keys

    async def note(self, host: str, identity: str, number: int, seen: Mapping[tuple[str, str], Seen]) -> None:
        """Adds this, by queue and function. `number`: greater than before; the same for a repeat, which adds nothing.

        All of it is one step in Redis: a hundred functions take it some milliseconds.
        """
        queues = {queue: index for index, queue in enumerate(dict.fromkeys(queue for queue, _ in seen), 1)}
        texts: list[Argument] = [
            json.dumps([queues[queue], function, _as_json(each)], separators=(",", ":"))
            for (queue, function), each in seen.items()
        ]
        receipts = self._keys.receipts(host, identity)
        names = [receipts, *map(self._keys.usage, queues)]
        await self._scripts.run("note_usage", names, [number, KEPT_SECONDS, MOST_KEPT, *texts])


def queues_known(client: redis.Redis, rq_keys: RqKeys) -> list[str]:
    """The queues that jobs were ever in, as RQ knows them, by name."""
    keys = (key.decode(errors="replace") for key in client.sscan_iter(rq_keys.queues, count=1000))
    return sorted(key.removeprefix(rq_keys.queue("")) for key in keys)


def read_usage(client: redis.Redis, keys: Keys, queues: Sequence[str]) -> list[FunctionUsage]:
    """What the functions of these queues use, by queue and function. A key that is no hash has none."""
    with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for queue in queues:
            pipeline.hgetall(keys.usage(queue))
        now, *found = pipeline.execute(raise_on_error=False)
    return _usages(now, queues, found)


async def read_usage_async(client: redis.asyncio.Redis, keys: Keys, queues: Sequence[str]) -> list[FunctionUsage]:
    """As `read_usage`. All entries are read and decoded: ask at most once in a few seconds."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.time()
        for queue in queues:
            pipeline.hgetall(keys.usage(queue))
        now, *found = await pipeline.execute(raise_on_error=False)
    return _usages(now, queues, found)


def usage_from(queue: str, function: str, text: bytes, now: float) -> FunctionUsage | None:
    """What an entry says, as of `now`; None for a text that is none."""
    try:
        entry = json.loads(text)
        return _usage(queue, function, entry, now)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _usages(now: Any, queues: Sequence[str], found: Iterable[Any]) -> list[FunctionUsage]:
    at = 0.0 if isinstance(now, Exception) else now[0] + now[1] / 1e6
    usages = []
    for queue, entries in zip(queues, found, strict=True):
        if isinstance(entries, redis.ResponseError):
            continue
        if isinstance(entries, Exception):
            raise entries
        for function in sorted(entries):
            usage = usage_from(queue, function.decode(errors="replace"), entries[function], at)
            if usage is not None:
                usages.append(usage)
    return usages


def _usage(queue: str, function: str, entry: Mapping[str, Any], now: float) -> FunctionUsage:
    seen_at, weight = _number(entry["at"]), _number(entry["weight"])
    user, system, children, wall, memory = (
        _number(entry[name]) for name in ("user", "system", "children", "wall", "memory")
    )
    jobs = _number(entry["jobs"]) * 0.5 ** (max(0.0, now - seen_at) / RECENT_SECONDS)
    cpu_high, wall_high, memory_high = (_high(entry[f"{name}_buckets"]) for name in ("cpu", "wall", "memory"))
    running = _running(entry, now)
    if running is not None and (weight == 0 or running.wall * weight > wall):  # longer than most: that is news
        weight, jobs = weight + 1, jobs + 1
        user, wall, memory = user + running.cpu, wall + running.wall, memory + running.memory
        cpu_high, wall_high = max(cpu_high, running.cpu), max(wall_high, running.wall)
        memory_high = max(memory_high, running.memory)
    if weight <= 0:
        raise ValueError("nothing is known yet")
    waits = _number(entry["waits"])
    return FunctionUsage(
        queue=queue,
        function=function,
        jobs=jobs,
        cpus=_cores(user + system + children, wall, weight),
        memory=int(memory / weight),
        memory_high=int(memory_high),
        wall_seconds=wall / weight,
        wall_high=wall_high,
        wait_seconds=_number(entry["wait"]) / waits if waits > 0 else 0.0,
        cpu_seconds=(user + system + children) / weight,
        cpu_seconds_high=cpu_high,
        seen_at=seen_at,
        user_seconds=user / weight,
        system_seconds=system / weight,
        children_seconds=children / weight,
        counted=int(_number(entry["counted"])),
    )


def _cores(cpu: float, wall: float, jobs: float) -> float:
    """How many are busy. What a process does between short jobs counts as theirs, so these keep one busy at most."""
    cores = cpu / wall if wall > 0 else 0.0
    return min(cores, 1.0) if wall < RESOLUTION_SECONDS * jobs else cores


def _running(entry: Mapping[str, Any], now: float) -> Running | None:
    """The longest job that goes on. Its host tells of it when it runs half as long again: else it has ended."""
    told = entry.get("running")
    if told is None:
        return None
    running = Running(*(_number(told[name]) for name in ("wall", "cpu", "memory")))
    return running if now - _number(told["at"]) <= RUNNING_SECONDS + running.wall / 2 else None


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{number} is no amount")
    return number


def _high(counts: Mapping[str, Any]) -> float:
    return percentile({int(bucket): _number(count) for bucket, count in counts.items()}, HIGH)


def _as_json(seen: Seen) -> dict[str, Any]:
    told = {name: value for name in Seen.__slots__ if (value := getattr(seen, name))}
    running = seen.running
    if running is not None:
        told["running"] = {"wall": running.wall, "cpu": running.cpu, "memory": running.memory}
    return told
