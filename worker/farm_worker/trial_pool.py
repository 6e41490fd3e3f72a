"""A pool for one call, in which it runs as on a host, and what its runs use there. For `farm capacity --measure`."""

import asyncio
import base64
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from farm.packed import pack
from farm.records import iso_now
from farm.store.address import resolve
from farm_settings import PoolSettings, Settings
from farm_worker.footprint import (
    Footprint,
    cpu_seconds,
    footprint,
    forget_peak,
    resident_and_peak,
    tree,
    waited_seconds,
)
from farm_worker.initialization import first_message
from farm_worker.load.facts import Facts
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.pool import Pool
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import ProcessEnd

CLOSE_SECONDS = 5.0
MOST_MEMORY_RUNS = 5
LEAST_ROUNDS_BESIDE = 3
MOST_BESIDE_PER_CPU = 4
"""Of jobs that mostly wait, more at once would only take memory: what they use of the CPUs is little."""
LOOK_SECONDS = 0.01
LOOK_COST = 20
"""A look at a process's memory holds it up: looks take at most one part in so many of the time."""
ENOUGH_LOOKS = 10


class TrialFailed(Exception):
    """What the call, or the processes for it, came to. A sentence."""


@dataclass
class Measured:
    """What runs of the call used. Of those alone one entry each."""

    cpu_seconds: list[float] = field(default_factory=list)
    wall_seconds: list[float] = field(default_factory=list)
    """Without the time that the process waited for a CPU: it has that where others are busy, and not where none is."""
    memory: list[int] = field(default_factory=list)
    """Bytes added to an idle process, at the most."""
    first_wall_seconds: float = 0.0
    """Of the run before them, which imports what the call needs."""
    side_by_side: int = 0
    """How many ran at once, each in a process of its own, one run after another. 0: none."""
    cpu_seconds_beside: float = 0.0
    """Of a run then, on average."""
    load_beside: float = 0.0
    """Share of the CPUs that they used then, 0 to 1."""


class TrialPool:
    """Of one process, until the call runs side by side."""

    def __init__(self, settings: Settings, facts: Facts) -> None:
        self._settings = settings
        self._facts = facts
        self._environment = dict(os.environ)
        self._ends: list[str] = []
        self._outcomes: dict[bytes, Outcome] = {}
        self._changed = asyncio.Event()
        self._count = 0
        pool = settings.pool.model_copy(update={"process_mode": "reuse", "executor": "process"})
        self._pool_settings: PoolSettings = pool
        self.pool = self._new_pool(1)

    def _new_pool(self, slots: int) -> Pool:
        return Pool(
            self._pool_settings,
            slots=slots,
            idle_target=slots,
            initialize=self._initialize,
            environment=self._environment,
            on_outcomes=self._on_outcomes,
            on_end=self._on_end,
            on_change=self._changed.set,
        )

    async def start(self, slots: int = 1) -> None:
        """Returns once all processes are warm. Raises TrialFailed."""
        if slots > 1:
            await self.close()
            self.pool = self._new_pool(slots)
        self.pool.start()
        limit = self._settings.pool.initialize_timeout + self._settings.pool.preload_timeout
        await self._until(lambda: self.pool.ready >= slots, "processes are warm", limit)

    async def close(self) -> None:
        """Ends all of its processes."""
        await self.pool.close(CLOSE_SECONDS)

    def idle_footprint(self) -> dict[str, int]:
        """Bytes of an idle process that it does not share, and of all that the host keeps beside processes."""
        process = self._footprint_of(self.pool.processes[0])
        helpers = footprint([*self.pool.helper_pids, *self.pool.reserve_pids]).share
        return {"process": process.own, "helpers": helpers + process.share - process.own}

    async def measure(self, call: Mapping[str, Any], question: Mapping[str, Any]) -> Measured:
        """Runs the call: alone for CPU and time, alone for memory, then side by side."""
        measured, runs = Measured(), int(question["runs"])
        process = self.pool.processes[0]
        idle = self._footprint_of(process)
        measured.first_wall_seconds = (await self._run(call)).seconds
        for _ in range(runs):
            before, waited = cpu_seconds(process.pid), waited_seconds(process.pid)
            outcome = await self._run(call)
            used, waited = cpu_seconds(process.pid) - before, waited_seconds(process.pid) - waited
            measured.cpu_seconds.append(max(used, 0.0))
            measured.wall_seconds.append(max(outcome.seconds - waited, 0.0))
        for _ in range(min(runs, MOST_MEMORY_RUNS)):
            measured.memory.append(max(await self._peak(process, call) - idle.share, 0))
        wanted = question["side_by_side"] or self._at_threshold(measured)
        beside = self._room_beside(wanted, idle.own + max(measured.memory))
        if beside > 1:
            await self._measure_beside(call, beside, max(runs // 2, LEAST_ROUNDS_BESIDE), measured)
        return measured

    async def _measure_beside(self, call: Mapping[str, Any], count: int, rounds: int, measured: Measured) -> None:
        """As on a host that has more jobs than it runs: they begin one by one, and each process goes on by itself."""
        await self.start(count)
        await asyncio.gather(*(self._run(call) for _ in range(count)))  # each process imports what it needs
        pids = [process.pid for process in self.pool.processes]
        apart = _mean(measured.wall_seconds) / count
        before = sum(map(cpu_seconds, pids))
        walls = await asyncio.gather(*(self._series(call, rounds, number * apart) for number in range(count)))
        used = max(sum(map(cpu_seconds, pids)) - before, 0.0)
        measured.side_by_side = count
        measured.cpu_seconds_beside = used / (count * rounds)
        measured.load_beside = min(used / (sum(walls) / count) / self._facts.cpu_count, 1.0)

    async def _series(self, call: Mapping[str, Any], rounds: int, delay: float) -> float:
        """Runs one after another; how long they took in sum."""
        await asyncio.sleep(delay)
        return sum([(await self._run(call)).seconds for _ in range(rounds)])

    def _at_threshold(self, measured: Measured) -> int:
        """How many bring the load to the threshold."""
        cpus, most = self._facts.cpu_count, MOST_BESIDE_PER_CPU
        share = _mean(measured.cpu_seconds) / max(_mean(measured.wall_seconds), 1e-6)
        each = min(self._settings.admission.threshold / share, most) if share > 0 else most
        return math.ceil(each * cpus)

    def _room_beside(self, wanted: int, memory: int) -> int:
        """As many as are wanted, and there is memory for."""
        free = self._facts.memory_total * self._settings.admission.memory_threshold - self._facts.memory
        return min(wanted, int(free // memory)) if memory > 0 else wanted

    async def _run(self, call: Mapping[str, Any]) -> Outcome:
        """One run. Raises TrialFailed if it did not return."""
        assignment = self._assignment(call)
        limit = float(call["timeout"])
        await self._until(lambda: self.pool.dispatch(assignment, depth=1), "a process has the call", limit)
        await self._until(lambda: assignment.job_id in self._outcomes, "the call has returned", limit + CLOSE_SECONDS)
        outcome = self._outcomes.pop(assignment.job_id)
        if outcome.kind != "finished":
            raise TrialFailed(f"{call['called']} did not return: {outcome.summary or outcome.kind}")
        return outcome

    async def _peak(self, process: ProcessHandle, call: Mapping[str, Any]) -> int:
        """The most memory that the process and what it started had while the call ran."""
        forget_peak(process.pid)
        resident, _ = resident_and_peak(process.pid)
        at_start = peak = self._footprint_of(process).share
        looks, running = 0, asyncio.create_task(self._run(call))
        while not running.done():
            began = time.perf_counter()
            peak = max(peak, self._footprint_of(process).share)
            looks += 1
            await asyncio.wait([running], timeout=max(LOOK_SECONDS, LOOK_COST * (time.perf_counter() - began)))
        await running
        peak = max(peak, self._footprint_of(process).share)
        _, highest = resident_and_peak(process.pid)
        if looks < ENOUGH_LOOKS:  # it may have been between two of them
            peak = max(peak, at_start + highest - resident)
        return peak

    def _footprint_of(self, process: ProcessHandle) -> Footprint:
        return footprint(tree(process.pid))

    def _initialize(self, number: int) -> Initialize:
        message = first_message(
            self._settings,
            self._environment,
            redis_url=resolve(self._settings.redis).url,
            host="capacity",
            process=number,
        )
        # the call is ours, so it is packed as RQ does by default
        return msgspec.structs.replace(message, serializer=None, job_class=None, async_concurrency=1)

    def _assignment(self, call: Mapping[str, Any]) -> Assignment:
        self._count += 1
        now = iso_now().encode()
        record = {
            b"created_at": now,
            b"enqueued_at": now,
            b"data": base64.b64decode(call["data"]),
            b"description": call["called"].encode(),
            b"origin": b"capacity",
            b"status": b"started",
            b"timeout": b"%d" % math.ceil(call["timeout"]),
            b"farm_fence": b"1",
        }
        return Assignment(
            job_id=b"capacity-%d" % self._count,
            token=f"{self._count:032x}",
            queue="capacity",
            attempt=1,
            on_lost="rerun",
            timeout=float(call["timeout"]),
            packed=pack([part for item in record.items() for part in item]),
            called=call["called"].encode(),
        )

    def _on_outcomes(self, outcomes: Sequence[tuple[Assignment, Outcome]]) -> None:
        self._outcomes.update((assignment.job_id, outcome) for assignment, outcome in outcomes)
        self._changed.set()

    def _on_end(self, end: ProcessEnd, begun: Assignment | None, _: list[Assignment]) -> None:
        if begun is not None or self.pool.unhealthy_reason is not None:
            self._ends.append(end.sentence())
        self._changed.set()

    async def _until(self, reached: Any, what: str, limit: float) -> None:
        deadline = time.monotonic() + limit
        while not reached():
            failure = self._ends[0] if self._ends else self.pool.unhealthy_reason
            if failure is not None:
                raise TrialFailed(failure)
            left = deadline - time.monotonic()
            if left <= 0:
                raise TrialFailed(f"{what}: not after {limit:g} s")
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), min(left, 0.1))
            except TimeoutError:
                continue


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
