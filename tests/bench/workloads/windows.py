"""Parts of a drain, to tell those in which the machine was at full speed from the rest."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 0.1

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
    start = ends[edge - 1]
    windows = [Window() for _ in range(int((ends[-edge - 1] - start) / WINDOW_SECONDS))]
    for run in runs:
        _lay(run, (run.begun - start) / WINDOW_SECONDS, (run.done - start) / WINDOW_SECONDS, windows)
    return windows


def at_full_speed(windows: Sequence[Window], runs: Sequence[Run]) -> list[Window]:
    """Those in which jobs took hardly more than the quickest of these runs, or none was there to tell."""
    limit = FULL_SPEED * sorted(run.cpu for run in runs)[len(runs) // 50]
    return [window for window in windows if window.cpu <= limit * window.jobs]


def _lay(run: Run, begun: float, done: float, windows: Sequence[Window]) -> None:
    """`begun`, `done`: in windows since the first one."""
    for index in range(max(0, math.floor(begun)), min(len(windows), math.ceil(done))):
        part = (min(done, index + 1) - max(begun, index)) / (done - begun)
        windows[index].jobs += part
        windows[index].cpu += part * run.cpu
