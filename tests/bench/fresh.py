"""A process for each job: how fast one is ready, whether the pool keeps up with short jobs, how much memory is shared.

The app takes a second to import and has 50 MB. Ready: from the host's request to the message that the process is warm.
Memory is proportional (PSS): that of 8 processes and their template, by that of one process that was spawned.
"""

import asyncio
import statistics
import sys
import time
from typing import Any

import psutil
import redis
from bench_app import JOB_SECONDS
from rq import Queue
from stage import HERE, PROCESSES, host, server, wait_until

from farm.store.connection import connect
from farm_settings import PoolSettings
from farm_worker.pool.pool import Pool
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import Reason

SHARERS = 8
FORKS = 50
JOBS = 300
PAUSE_SECONDS = 0.05
"""Between two forks: the end of the process before is not what is measured."""

Figures = dict[str, list[float]]


def fresh(rounds: int) -> Figures:
    """A value for each round: `ready_ms` all of them, `jobs_per_second`, `ideal`, `pss_ratio`."""
    figures: Figures = {"ready_ms": [], "jobs_per_second": [], "pss_ratio": []}
    for turn in range(rounds):
        print(f"fresh, round {turn + 1} of {rounds} ...", file=sys.stderr)
        alone, _ = asyncio.run(_measure("spawn", 1, 0))
        together, ready = asyncio.run(_measure("template", SHARERS, FORKS))
        figures["ready_ms"] += ready
        figures["pss_ratio"].append(together / alone)
        figures["jobs_per_second"].append(_drain())
    return figures


def report(figures: Figures) -> None:
    """The figures beside what would be ideal."""
    ready, rates, ratios = (sorted(figures[name]) for name in ("ready_ms", "jobs_per_second", "pss_ratio"))
    print(f"\na process for each job, {1000 * JOB_SECONDS:g} ms each; the app: 1 s to import, 50 MB")
    print(f"  ready after (ms)    median {statistics.median(ready):.1f}, p95 {ready[int(0.95 * len(ready))]:.1f}")
    ideal = PROCESSES / JOB_SECONDS
    print(f"  jobs/s              median {statistics.median(rates):.1f} of {ideal:.0f} ({PROCESSES} slots)")
    print(f"  memory of {SHARERS} to that of one  {statistics.median(ratios):.2f}")


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
        return sum(psutil.Process(pid).memory_full_info().pss for pid in pids), ready
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


def _drain() -> float:
    with server() as url, connect(url) as client, host(url, client, process_mode="fresh", app="bench_app"):
        _enqueue(client)
        done_key = "rq:finished:default"
        wait_until(lambda: client.zcard(done_key) >= PROCESSES, "jobs are done", pause=0.001)
        begun, done = time.perf_counter(), int(client.zcard(done_key))
        wait_until(lambda: client.zcard(done_key) >= JOBS, f"{JOBS} jobs are done", pause=0.002)
        return (JOBS - done) / (time.perf_counter() - begun)


def _enqueue(client: redis.Redis) -> None:
    queue = Queue("default", connection=client)
    queue.enqueue_many([Queue.prepare_data("bench_app.look") for _ in range(JOBS)])


def _initialize(number: int) -> Initialize:
    return Initialize(
        redis_url="redis://127.0.0.1:1/0",
        rq_prefix="rq",
        host="bench",
        process=number,
        path=[str(HERE)],
        python_path=None,
        app="bench_app",
        serializer=None,
        job_class=None,
        result_ttl=500,
        exception_handlers=[],
        log_level="warning",
    )


def _nothing(*_: Any) -> None:
    """Nobody waits for news here."""
