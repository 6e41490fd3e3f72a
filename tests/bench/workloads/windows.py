"""Parts of a drain, to tell those in which the machine was at full speed from the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_SECONDS = 0.1
"""Of a window."""

JOBS = 10
"""On average, in a window of slow workers: one without any tells nothing of the machine."""

FULL_SPEED = 1.12
"""Times what the quickest jobs took: a CPU of a shared machine has two speeds, which are further apart."""


@dataclass(frozen=True)
class Run:
    """A job as it ran. Seconds; `begun` and `done` by one clock."""

    begun: float
    done: float
    cpu: float


@dataclass
class Window:
    """What ran in it; of jobs that began before or ended after it, a part."""

    seconds: float
    jobs: float = 0.0
    cpu: float = 0.0
    """Seconds of theirs."""


def steady_windows(runs: Sequence[Run]) -> list[Window]:
    """The middle of a drain, cut.

    Its first and last tenth belong to what precedes and follows the steady state: workers that wake up or learn, the
    last job while the other processes have none.
    """
    ends = sorted(run.done for run in runs)
    edge = max(1, len(runs) // 10)
    start, end = ends[edge - 1], ends[-edge - 1]
    length = max(LEAST_SECONDS, JOBS * (end - start) / max(1, len(runs) - 2 * edge))
    windows = [Window(length) for _ in range(int((end - start) / length))]
    for run in runs:
        _lay(run, (run.begun - start) / length, (run.done - start) / length, windows)
    return windows


def quickest(runs: Sequence[Run]) -> float:
    """CPU seconds of the quickest of these jobs, but for one in fifty."""
    return sorted(run.cpu for run in runs)[len(runs) // 50]


def at_full_speed(windows: Sequence[Window], least: float) -> list[Window]:
    """Those in which jobs took hardly more CPU seconds than the `least`, or none was there to tell."""
    return [window for window in windows if window.cpu <= FULL_SPEED * least * window.jobs]


def _lay(run: Run, begun: float, done: float, windows: Sequence[Window]) -> None:
    """`begun`, `done`: in windows since the first one."""
    for index in range(max(0, math.floor(begun)), min(len(windows), math.ceil(done))):
        part = (min(done, index + 1) - max(begun, index)) / (done - begun)
        windows[index].jobs += part
        windows[index].cpu += part * run.cpu
