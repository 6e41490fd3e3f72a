"""Jobs that compute for 5 ms: how much of two CPUs is left for them."""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache

from tests.bench.peers.adapter import PROCESSES
from tests.bench.peers.arithmetic import cpu_seconds_of
from tests.bench.peers.marks import Marks
from tests.bench.stage import stage
from tests.bench.systems import System, has_processes
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import drain
from tests.bench.workloads.windows import Run, Window, at_full_speed, quickest, steady_windows

JOB_SECONDS = 0.005
SAMPLES = 200

ENOUGH_SECONDS = 1.0

MOST_DRAINS = 8
"""One after the other on the same workers, until windows of so many seconds count."""


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """What the two CPUs did beside a job of 5 ms in the middle of a drain, and the share that is left for it then.

    What a job takes is measured in each of them, as a CPU of a shared machine has two speeds, by what a neighbour runs
    on its other thread. Windows count in which jobs ran at full speed; if they are too few, all do. The share is not
    that of the jobs that ran, but of jobs of exactly 5 ms beside which as much is done. All of two CPUs is more than
    can be had: timers and other programs take from them in bare processes too.
    """
    count = min(scale.cpu_jobs, system.jobs(5 * scale.cpu_jobs, mode))
    windows: list[Window] = []
    with stage(system, mode, MOST_DRAINS * count) as at_work:
        at_work.warm(PROCESSES)
        for _ in range(MOST_DRAINS):
            drain(at_work, "burn", count, [_repetitions()])
            runs = _runs(at_work.marks, at_work.rows(0) - count, count)
            windows += steady_windows(runs)
            quick = at_full_speed(windows, _least(quickest(runs)))
            if _seconds(quick) >= ENOUGH_SECONDS:
                break
    counted = quick if _seconds(quick) >= ENOUGH_SECONDS else windows
    jobs, used = sum(window.jobs for window in counted), sum(window.cpu for window in counted)
    beside = (PROCESSES * _seconds(counted) - used) / jobs
    return {
        "share": JOB_SECONDS / (JOB_SECONDS + beside),
        "beside_ms": 1000 * beside,
        "job_ms": 1000 * used / jobs,
        "quick_seconds": _seconds(quick),
    }


def _seconds(windows: Sequence[Window]) -> float:
    return sum(window.seconds for window in windows)


def _least(seconds: float) -> float:
    """The least that a job took so far, whoever ran it: the same work, so a turn may be slow as a whole."""
    _quickest.append(seconds)
    return min(_quickest)


_quickest: list[float] = []
"""Of each drain of this run."""


def _runs(marks: Marks, first: int, count: int) -> list[Run]:
    rows = ((*marks.row(job)[:2], marks.cpu(job)) for job in range(first, first + count))
    return [Run(begun / 1e9, done / 1e9, cpu / 1e9) for begun, done, cpu in rows]


@cache
def _repetitions() -> int:
    """How much work takes about 5 ms of CPU time at full speed: the same for all systems and rounds."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        seconds = sorted(pool.map(cpu_seconds_of, [1000] * SAMPLES))
    return max(1, round(1000 * JOB_SECONDS / seconds[SAMPLES // 50]))


WORKLOAD = Workload(
    name="cpu",
    title="Jobs of 5 ms CPU, 2 processes: the share of two CPUs that is left for them (bare: with nothing in between)",
    figures=(
        Figure("share", "share of two CPUs", 3, ratio=True),
        Figure("beside_ms", "beside a job, ms", 2),
        Figure("job_ms", "a job as it ran, ms", 2),
        Figure("quick_seconds", "at full speed, s", 1),
    ),
    turn=turn,
    takes_part=has_processes,
    modes=("default", "fast"),
)
