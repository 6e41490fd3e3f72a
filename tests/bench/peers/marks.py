"""What jobs did and when, in a file that all processes map: it tells the same of each system, and costs microseconds.

A row for each job: when it began and was done (nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share),
the process that ran it, and the nanoseconds of CPU that it says it took. A row of zeros: not done yet.
"""

import mmap
import os
import struct
import time
from pathlib import Path

VARIABLE = "BENCH_MARKS"
ROW = struct.Struct("=QQQQ")


class Marks:
    """The rows of one file."""

    def __init__(self, path: str | Path) -> None:
        with Path(path).open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._asked = (0, 0)
        self._next = 0
        """The first of the jobs asked for that was not done."""

    @classmethod
    def create(cls, path: Path, rows: int) -> "Marks":
        """A new file for that many jobs."""
        with path.open("wb") as file:
            file.truncate(rows * ROW.size)
        return cls(path)

    def write(self, index: int, begun: int, cpu: int = 0) -> None:
        """The job of this number is done now."""
        ROW.pack_into(self._map, index * ROW.size, begun, time.monotonic_ns(), os.getpid(), cpu)

    def row(self, index: int) -> tuple[int, int, int]:
        """Begun, done, process; zeros if it is not done."""
        begun, done, process, _ = ROW.unpack_from(self._map, index * ROW.size)
        return begun, done, process

    def cpu(self, index: int) -> int:
        """What it says that it took; 0 if it says nothing."""
        cpu: int = ROW.unpack_from(self._map, index * ROW.size)[3]
        return cpu

    def all_done(self, first: int, count: int) -> bool:
        """Whether each of these jobs is done. Asked again for the same ones it looks only at the rest."""
        if self._asked != (first, count):
            self._asked, self._next = (first, count), first
        while self._next < first + count and self.row(self._next)[1]:
            self._next += 1
        return self._next >= first + count

    def number_done(self, first: int, count: int) -> int:
        """How many of these jobs are done."""
        return sum(1 for index in range(first, first + count) if self.row(index)[1])

    def close(self) -> None:
        """Lets go of the file."""
        self._map.close()


_marks: list[Marks] = []


def write(index: int, begun: int, cpu: int = 0) -> None:
    """From within a job."""
    if not _marks:
        _marks.append(Marks(os.environ[VARIABLE]))
    _marks[0].write(index, begun, cpu)
