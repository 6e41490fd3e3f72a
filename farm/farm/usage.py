"""What a job has used so far, measured inside its process."""

import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_MAXIMUM_UNIT = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""


RESOLUTION_SECONDS = 0.005
"""To ask the kernel for CPU times costs more than all else that a short job needs: jobs that follow each other this
closely begin to count from the same answer."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job has used from its start until now."""

    cpu_seconds: float
    """User and system time of the process, and of the children that were started and waited for; to 5 ms."""
    wall_seconds: float
    memory: int
    """Bytes that the process holds in memory now, with what it shares with other processes."""
    peak: int
    """The most bytes that it ever held, in its jobs before this one too."""


class _Reading(NamedTuple):
    at: float
    own: float
    children: float


class Meter:
    """Measures from its creation on; CPU time from up to `RESOLUTION_SECONDS` before it."""

    __slots__ = ("_begun", "_wall")

    def __init__(self) -> None:
        self._wall = now = time.monotonic()
        self._begun = _latest if now - _latest.at <= RESOLUTION_SECONDS else _read_anew(now)

    def read(self) -> Usage:
        """What was used since."""
        now = _read(time.monotonic())
        return Usage(
            cpu_seconds=now.own - self._begun.own + now.children - self._begun.children,
            wall_seconds=now.at - self._wall,
            memory=_resident(),
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXIMUM_UNIT,
        )


_latest = _Reading(-math.inf, 0.0, 0.0)


def _read_anew(now: float) -> _Reading:
    global _latest  # noqa: PLW0603 - one process, one CPU time
    _latest = _read(now)
    return _latest


def _read(now: float) -> _Reading:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return _Reading(now, time.process_time(), children.ru_utime + children.ru_stime)


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - costs memory in each process, and Linux needs none of it

        return int(psutil.Process().memory_info().rss)
