"""Jobs that compute for 5 ms: how much of two CPUs is left for them."""

import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from statistics import median

from tests.bench.peers.adapter import PROCESSES
from tests.bench.peers.arithmetic import work
from tests.bench.stage import stage
from tests.bench.systems import System, has_processes
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import drain, steady

JOB_SECONDS = 0.005
SAMPLES = 100


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """What the two CPUs did beside a job of 5 ms in the middle of a drain, and the share that is left for it then.

    What a job takes is measured in each of them: at another moment the same work takes a third more or less. So the
    share is not that of the jobs that ran, but of jobs of exactly 5 ms beside which as much is done. All of two CPUs
    is more than can be had: timers and other programs take from them in bare processes too.
    """
    count = min(scale.cpu_jobs, system.jobs(5 * scale.cpu_jobs, mode))
    with stage(system, mode, count) as at_work:
        at_work.warm(PROCESSES)
        drain(at_work, "burn", count, [_repetitions()])
        elapsed, jobs = steady(at_work.marks, at_work.rows(0) - count, count)
        used = sum(map(at_work.marks.cpu, jobs)) / 1e9
    beside = (PROCESSES * elapsed - used) / len(jobs)
    job_ms, beside_ms = 1000 * used / len(jobs), 1000 * beside
    return {"share": JOB_SECONDS / (JOB_SECONDS + beside), "job_ms": job_ms, "beside_ms": beside_ms}


@cache
def _repetitions() -> int:
    """How much work takes about 5 ms of CPU time: the same for all systems and rounds."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        usual = median(pool.map(_cpu_seconds_of, [1000] * SAMPLES))
    return max(1, round(1000 * JOB_SECONDS / usual))


def _cpu_seconds_of(repetitions: int) -> float:
    began = time.thread_time()
    work(repetitions)
    return time.thread_time() - began


WORKLOAD = Workload(
    name="cpu",
    title="Jobs of 5 ms CPU, 2 processes: the share of two CPUs that is left for them (bare: with nothing in between)",
    figures=(
        Figure("share", "share of two CPUs", 3, ratio=True),
        Figure("beside_ms", "beside a job, ms", 2),
        Figure("job_ms", "a job as it ran, ms", 2),
    ),
    turn=turn,
    takes_part=has_processes,
    modes=("default", "fast"),
)
