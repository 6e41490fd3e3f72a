"""What a job has used so far, measured inside its process."""

import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_MAXIMUM_UNIT = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job has used from its start until now."""

    cpu_seconds: float
    """User and system time of the process, and of the children that were started and waited for."""
    wall_seconds: float
    memory: int
    """Bytes that the process holds in memory now, with what it shares with other processes."""
    peak: int
    """The most bytes that it ever held, in its jobs before this one too."""


class Meter:
    """Measures from its creation on."""

    __slots__ = ("_children", "_own", "_wall")

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._own = time.process_time()
        self._children = resource.getrusage(resource.RUSAGE_CHILDREN)

    def read(self) -> Usage:
        """What was used since."""
        children = _seconds(resource.getrusage(resource.RUSAGE_CHILDREN)) - _seconds(self._children)
        return Usage(
            cpu_seconds=time.process_time() - self._own + children,
            wall_seconds=time.monotonic() - self._wall,
            memory=_resident(),
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXIMUM_UNIT,
        )


def _seconds(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - costs memory in each process, and Linux needs none of it

        return int(psutil.Process().memory_info().rss)
