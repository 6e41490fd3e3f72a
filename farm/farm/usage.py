"""What a job has used so far, measured inside its process."""

import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_MAXIMUM_UNIT = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""


RESOLUTION_SECONDS = 0.005
"""To ask the kernel for CPU times costs more than all else that a short job needs: jobs that follow each other this
closely begin to count from the same answer."""

CHILDREN_RESOLUTION_SECONDS = 0.02
"""The same for the CPU times of children, which cost more to ask for, and which few jobs have."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job has used from its start until now."""

    cpu_seconds: float
    """User and system time of the process, to 5 ms, and of the children that it waited for, to 20 ms."""
    wall_seconds: float
    memory: int
    """Bytes that the process holds in memory now, with what it shares with other processes."""
    peak: int
    """The most bytes that it ever held, in its jobs before this one too."""


class Meter:
    """Measures from its creation on; CPU times from up to their resolution before it."""

    __slots__ = ("_children", "_own", "_wall")

    def __init__(self) -> None:
        global _own, _own_at, _children, _children_at
        self._wall = now = time.monotonic()
        if now - _own_at > RESOLUTION_SECONDS:
            _own, _own_at = time.process_time(), now
            if now - _children_at > CHILDREN_RESOLUTION_SECONDS:
                _children, _children_at = _children_seconds(), now
        self._own, self._children = _own, _children

    def read(self) -> Usage:
        """What was used since."""
        return Usage(
            cpu_seconds=time.process_time() - self._own + _children_seconds() - self._children,
            wall_seconds=time.monotonic() - self._wall,
            memory=_resident(),
            peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXIMUM_UNIT,
        )


_own = _children = 0.0
_own_at = _children_at = -math.inf
"""When these were read last, in monotonic seconds."""


def _children_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _resident() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - costs memory in each process, and Linux needs none of it

        return int(psutil.Process().memory_info().rss)
