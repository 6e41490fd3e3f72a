"""CPU time of processes whose jobs run for long, with all that these started, as sampled beside their memory."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from farm_worker.load.files import KeptFile, read

_TICKS = os.sysconf("SC_CLK_TCK")
_TIMES = slice(11, 15)
"""After the name in `/proc/PID/stat`: user, system, and both of children that were waited for."""


class TreeCpu:
    """Call it off the loop's thread, from one thread at a time."""

    def __init__(self) -> None:
        self._files: dict[int, KeptFile] = {}

    def sample(self, trees: Mapping[int, Sequence[int]]) -> dict[int, float]:
        """Seconds of each tree, root → its descendants, since its root began. Ended ones are left out."""
        self._forget(trees.keys())
        samples: dict[int, float] = {}
        for root, descendants in trees.items():
            file = self._files.get(root)
            if file is None:
                file = self._files[root] = KeptFile(f"/proc/{root}/stat")
            with suppress(OSError, ValueError, IndexError):
                samples[root] = _seconds(file.read()) + sum(map(_seconds_of, descendants))
        return samples

    def _forget(self, roots: Collection[int]) -> None:
        for root in self._files.keys() - roots:
            self._files.pop(root).close()


def _seconds_of(pid: int) -> float:
    with suppress(OSError, ValueError, IndexError):
        return _seconds(read(f"/proc/{pid}/stat"))
    return 0.0


def _seconds(stat: str) -> float:
    return sum(map(int, stat.rpartition(")")[2].split()[_TIMES])) / _TICKS
