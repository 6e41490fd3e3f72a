"""What neighbours on a shared machine take from a turn, and waiting for those that let it be measured.

They take CPU time, and the cache that cores share. The latter slows down whatever touches much memory: all job systems,
and those most that do much beside little Python.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from statistics import median
from typing import Any, TypeVar

import psutil

Result = TypeVar("Result")

MOST_STOLEN = 0.02
"""Of the CPU time asked for: with more than that a turn had fewer CPUs than the machine says."""

MOST_NANOSECONDS = 120.0
"""For an object in no cache of its core."""

MOST_TRIES = 3
"""Of one turn."""

CHECK_SECONDS = 0.5
"""So long a look lasts, at work: neighbours take nothing from who asks for nothing."""

PAUSE_SECONDS = 2.0

_OBJECTS = 1 << 17
"""Floats, 4 MB with what points to them: more than a core's own caches hold, less than the one that cores share."""


@dataclass(frozen=True)
class Neighbours:
    """What they took during a turn."""

    stolen: float
    """CPU time, of 1 that this machine asked for; 0 where no system says."""
    nanoseconds: float
    """How long an object took that is in no cache of its core: the mean of before and after."""

    @property
    def are_quiet(self) -> bool:
        return self.stolen <= MOST_STOLEN and self.nanoseconds <= MOST_NANOSECONDS

    @property
    def noise(self) -> float:
        """For comparison: 1 at one of the limits."""
        return max(self.stolen / MOST_STOLEN, self.nanoseconds / MOST_NANOSECONDS)


class Patience:
    """Repeats turns that neighbours disturbed, and waits before turns until they are quiet, while there is time left.

    Whether a turn counts is decided by what the machine says of its neighbours, never by what the turn measured.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds`: that may be spent so, in sum."""
        self._left = seconds

    def measure(self, turn: Callable[[], Result]) -> tuple[Result, Neighbours]:
        """The result of a turn that they let be measured, or else of the one that they disturbed least."""
        self._wait()
        result, neighbours = watched(turn)
        for _ in range(1, MOST_TRIES):
            if neighbours.are_quiet or self._left <= 0:
                break
            self._wait()
            began = time.monotonic()
            result, neighbours = min((result, neighbours), watched(turn), key=lambda measured: measured[1].noise)
            self._left -= time.monotonic() - began
        return result, neighbours

    def _wait(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < self._left and not watched(_work)[1].are_quiet:
            time.sleep(PAUSE_SECONDS)
        self._left -= time.monotonic() - began


def watched(turn: Callable[[], Result]) -> tuple[Result, Neighbours]:
    """What it returned, and what neighbours took meanwhile."""
    before, used, stolen = nanoseconds_of_memory(), *_cpu_seconds()
    result = turn()
    used, stolen = (now - then for now, then in zip(_cpu_seconds(), (used, stolen), strict=True))
    return result, Neighbours(stolen / (used + stolen) if stolen > 0 else 0.0, (before + nanoseconds_of_memory()) / 2)


def _work() -> None:
    until = time.monotonic() + CHECK_SECONDS
    while time.monotonic() < until:
        nanoseconds_of_memory()


def nanoseconds_of_memory() -> float:
    """How long it takes to reach an object that is in no cache of its core."""
    objects, read_all = _objects_and_reader()
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        read_all(objects)
        seconds.append(time.perf_counter() - began)
    return 1e9 * median(seconds) / _OBJECTS


@cache
def _objects_and_reader() -> tuple[list[float], "itemgetter[Any]"]:
    objects = [float(number) for number in range(_OBJECTS)]
    return objects, itemgetter(*random.Random(0).sample(range(_OBJECTS), _OBJECTS))


def _cpu_seconds() -> tuple[float, float]:
    """Of the whole machine: what was used, and what was asked for and given to neighbours."""
    times = psutil.cpu_times()
    stolen = getattr(times, "steal", 0.0)
    return sum(times) - times.idle - getattr(times, "iowait", 0.0) - stolen, stolen
