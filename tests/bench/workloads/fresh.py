"""A process for each job: how fast one is ready, whether the pool keeps up with short jobs, how much memory is shared.

The app takes a second to import and has 50 MB. Ready: from the host's request to the message that the process is warm.
Memory is proportional (PSS): that of 8 processes and their template, by that of one process that was spawned.
"""

import asyncio
import statistics
import time
from typing import Any

import psutil
from rq import Queue

from farm_settings import PoolSettings
from farm_worker.pool.pool import Pool
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import Reason
from tests.bench import processes
from tests.bench.figures import percentile
from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import WAIT_SECONDS, stage
from tests.bench.systems import PEERS, System, is_this_project
from tests.bench.workload import Figure, Figures, Scale, Workload

SHARERS = 8
JOBS = 300
JOB_SECONDS = 0.02
PAUSE_SECONDS = 0.05
"""Between two forks: the end of the process before is not what is measured."""


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """How long a process takes to be ready, jobs per second, memory of many by that of one."""
    alone, _ = asyncio.run(_measure("spawn", 1, 0))
    together, ready = asyncio.run(_measure("template", SHARERS, scale.forks))
    return {
        "ready_p50": statistics.median(ready),
        "ready_p95": percentile(ready, 0.95),
        "jobs_per_second": _drain(system),
        "memory_ratio": together / alone,
    }


async def _measure(start_method: str, count: int, forks: int) -> tuple[float, list[float]]:
    """Proportional bytes of `count` processes with what they need, and how long each of `forks` took in ms."""
    pool = Pool(
        PoolSettings(start_method=start_method),
        slots=count,
        idle_target=count,
        initialize=_initialize,
        environment=None,
        on_outcomes=_nothing,
        on_end=_nothing,
        on_change=_nothing,
    )
    pool.start()
    try:
        await _until_ready(pool, count)
        ready = [await _replace(pool, pool.processes[0], count) for _ in range(forks)]
        pids = [*pool.helper_pids, *pool.reserve_pids, *(process.pid for process in pool.processes)]
        return processes.proportional_bytes([psutil.Process(pid) for pid in pids]), ready
    finally:
        await pool.close(1.0)


async def _replace(pool: Pool, process: ProcessHandle, count: int) -> float:
    process.close(Reason.SURPLUS)
    while process in pool.processes:
        await asyncio.sleep(0.001)
    await _until_ready(pool, count)
    await asyncio.sleep(PAUSE_SECONDS)
    youngest = pool.processes[-1]
    return 1000 * (youngest.ready_at - youngest.spawned_at)


async def _until_ready(pool: Pool, count: int) -> None:
    while pool.ready < count:
        await asyncio.sleep(0.001)


def _drain(system: System) -> float:
    with stage(system, "default", 0, FARM_PROCESS_MODE="fresh", FARM_APP="farm_app") as at_work:
        queue = Queue("default", connection=at_work.client)
        queue.enqueue_many([Queue.prepare_data("farm_app.look") for _ in range(JOBS)])

        def done() -> int:
            return int(at_work.client.zcard("rq:finished:default"))

        at_work.wait(lambda: done() >= PROCESSES, WAIT_SECONDS, lambda: "no job was done")
        begun, before = time.perf_counter(), done()
        at_work.wait(lambda: done() >= JOBS, WAIT_SECONDS, lambda: f"{done()} of {JOBS} jobs were done")
        return (JOBS - before) / (time.perf_counter() - begun)


def _initialize(number: int) -> Initialize:
    return Initialize(
        redis_url="redis://127.0.0.1:1/0",
        rq_prefix="rq",
        host="bench",
        process=number,
        path=[str(PEERS)],
        python_path=None,
        app="farm_app",
        serializer=None,
        job_class=None,
        result_ttl=500,
        exception_handlers=[],
        log_level="warning",
    )


def _nothing(*_: Any) -> None:
    """Nobody waits for news here."""


WORKLOAD = Workload(
    name="fresh",
    title=f"A process for each job (FARM_PROCESS_MODE=fresh), jobs of {1000 * JOB_SECONDS:g} ms, an app that "
    f"takes 1 s to import and has 50 MB; {PROCESSES} slots could do {PROCESSES / JOB_SECONDS:g} jobs/s. "
    f"Ready: from the host's request to a warm process. Memory: {SHARERS} processes and their template by "
    "one that was spawned (PSS)",
    figures=(
        Figure("ready_p50", "ready p50, ms", 1),
        Figure("ready_p95", "p95", 1),
        Figure("jobs_per_second", "jobs/s", 1),
        Figure("memory_ratio", "memory of 8 by that of one", 2),
    ),
    turn=turn,
    takes_part=is_this_project,
)
