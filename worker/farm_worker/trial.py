"""`python -P -m farm_worker.trial`: what this machine has, what a host takes of it, and what a call uses.

Reads a question as JSON from stdin and writes the answer as JSON to the descriptor that is its argument. The call runs
in the processes of a pool as a host has it, from a template with the app; nothing is enqueued. For `farm capacity`.
"""

import asyncio
import base64
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from farm import logs
from farm.errors import FarmError
from farm.flags import take_flags
from farm.packed import pack
from farm.records import iso_now
from farm.store.address import resolve
from farm_settings import InvalidSetting, PoolSettings, Settings, load
from farm_worker import host as host_module  # what a host's parent has imported counts
from farm_worker.footprint import (
    Footprint,
    cpu_seconds,
    footprint,
    forget_peak,
    resident_and_peak,
    tree,
    waited_seconds,
)
from farm_worker.hooks import Hooks
from farm_worker.identity import boot_id
from farm_worker.initialization import first_message
from farm_worker.load.facts import Facts
from farm_worker.load.sampler import Sampler
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.pool import Pool
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import ProcessEnd

EXIT_FAILED = 1
CLOSE_SECONDS = 5.0
LEAST_SAMPLING_SECONDS = 1.0
"""How long the machine is watched for what others use."""
MOST_MEMORY_RUNS = 5
LEAST_ROUNDS_BESIDE = 3
LOOK_SECONDS = 0.01
LOOK_COST = 20
"""A look at a process's memory holds it up: looks take at most one part in so many of the time."""
ENOUGH_LOOKS = 10
_COORDINATOR = "import farm.coordinator.coordinator; print(end='ready', flush=True); input()"

assert host_module


class TrialFailed(Exception):
    """What the call, or the processes for it, came to. A sentence."""


@dataclass
class Measured:
    """What runs of the call used, one entry each."""

    cpu_seconds: list[float] = field(default_factory=list)
    wall_seconds: list[float] = field(default_factory=list)
    """Without the time that the process waited for a CPU: it has that where others are busy, and not where none is."""
    memory: list[int] = field(default_factory=list)
    """Bytes added to an idle process, at the most."""
    first_wall_seconds: float = 0.0
    """Of the run before them, which imports what the call needs."""
    side_by_side: int = 0
    cpu_seconds_beside: list[float] = field(default_factory=list)


def main() -> int:
    """The exit code. The answer has `error` in place of the rest if something failed."""
    question = json.loads(sys.stdin.read())
    with open(int(sys.argv[1]), "w", encoding="utf-8") as answers:
        try:
            answer = asyncio.run(_answer(take_flags(os.environ), question))
        except (TrialFailed, FarmError, InvalidSetting) as error:
            answer = {"error": str(error)}
        json.dump(answer, answers)
    return EXIT_FAILED if "error" in answer else 0


async def _answer(flags: Mapping[str, Any], question: Mapping[str, Any]) -> dict[str, Any]:
    sampler = Sampler()
    began = time.monotonic()
    facts = sampler.sample([os.getpid()])
    own = footprint([os.getpid()]).share
    settings = await _settings(flags)
    trial = Trial(settings, facts)
    coordinator = _coordinator()
    try:
        await trial.start()
        idle = trial.idle_footprint()
        coordinator_memory = _memory_once_loaded(coordinator)
        if question["others"]:
            await asyncio.sleep(max(0.0, LEAST_SAMPLING_SECONDS - (time.monotonic() - began)))
        others_load = sampler.sample([os.getpid()]).others_load
        measured = await trial.measure(question["call"], question) if question.get("call") else None
    finally:
        sampler.close()
        coordinator.kill()
        coordinator.communicate()
        await trial.close()
    return {
        "machine": {
            "cores": facts.cpu_count,
            "memory": facts.memory_total,
            "memory_others": max(facts.memory - own, 0),
            "others_load": others_load,
            "boot_id": boot_id(),
        },
        "host": {
            "memory": footprint([os.getpid()]).share + idle["helpers"] + coordinator_memory,
            "process_memory": idle["process"],
        },
        "call": asdict(measured) if measured is not None else None,
        "options": {
            "threshold": settings.admission.threshold,
            "memory_threshold": settings.admission.memory_threshold,
            "processes": settings.pool.processes,
        },
    }


async def _settings(flags: Mapping[str, Any]) -> Settings:
    """As a host has them: the app may bring some. Raises AppError, InvalidSetting."""
    settings = load(flags=flags)
    logs.configure("error", settings.logs.log_format, "capacity")
    if settings.host.app is None:
        return settings
    hooks = await Hooks.start(settings, dict(os.environ))
    await hooks.close()
    return load(flags=flags, app=hooks.app.options)


class Trial:
    """A pool for one call."""

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
        idle = self._footprint_of(process).share
        measured.first_wall_seconds = (await self._run(call)).seconds
        for _ in range(runs):
            before, waited = cpu_seconds(process.pid), waited_seconds(process.pid)
            outcome = await self._run(call)
            used, waited = cpu_seconds(process.pid) - before, waited_seconds(process.pid) - waited
            measured.cpu_seconds.append(max(used, 0.0))
            measured.wall_seconds.append(max(outcome.seconds - waited, 0.0))
        for _ in range(min(runs, MOST_MEMORY_RUNS)):
            measured.memory.append(max(await self._peak(process, call) - idle, 0))
        beside = self._room_beside(question["side_by_side"], max(measured.memory))
        if beside > 1:
            await self._measure_beside(call, beside, max(runs // 2, LEAST_ROUNDS_BESIDE), measured)
        return measured

    async def _measure_beside(self, call: Mapping[str, Any], count: int, rounds: int, measured: Measured) -> None:
        await self.start(count)
        measured.side_by_side = count
        await asyncio.gather(*(self._run(call) for _ in range(count)))  # each process imports what it needs
        pids = [process.pid for process in self.pool.processes]
        for _ in range(rounds):
            before = sum(map(cpu_seconds, pids))
            await asyncio.gather(*(self._run(call) for _ in range(count)))
            measured.cpu_seconds_beside.append(max(sum(map(cpu_seconds, pids)) - before, 0.0) / count)

    def _room_beside(self, wanted: int | None, memory: int) -> int:
        """As many as are wanted, by default the CPUs, and there is memory for."""
        if wanted is None:
            wanted = math.ceil(self._facts.cpu_count)
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


def _coordinator() -> "subprocess.Popen[bytes]":
    """A process that loads what a coordinator needs, and then waits."""
    command = [sys.executable, "-P", "-c", _COORDINATOR]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def _memory_once_loaded(process: "subprocess.Popen[bytes]") -> int:
    """Bytes."""
    assert process.stdout is not None
    process.stdout.read(len("ready"))
    return footprint([process.pid]).share


if __name__ == "__main__":
    sys.exit(main())
