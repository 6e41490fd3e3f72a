"""What neighbours on a shared machine take from a turn, and waiting for those that let it be measured.

They take CPU time; half of a CPU's speed, by what they run on its other thread; and the cache that cores share, which
slows down whatever touches much memory: all job systems, and those most that do much beside little Python.
"""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from statistics import median
from typing import Any, TypeVar

import psutil

from tests.bench.peers.arithmetic import cpu_seconds_of, work

Result = TypeVar("Result")

MOST_STOLEN = 0.02
"""Of the CPU time asked for: with more than that a turn had fewer CPUs than the machine says."""

MOST_SLOWED = 0.6
"""Of the time. Where cores have two threads a busy machine is never without neighbours on them."""

MOST_NANOSECONDS = 120.0
"""For an object in no cache of its core."""

LONG_SECONDS = 40.0
"""A turn of more than that is not repeated: neighbours are hardly ever quiet for as long."""

CHECK_SECONDS = 1.0
"""So long a look lasts."""

PAUSE_SECONDS = 2.0
"""From one look to the next."""

MOST_WAIT_SECONDS = 10.0
"""Before one try."""

SAMPLE_SECONDS = 0.1
"""From one sample of a CPU's speed to the next. One takes some 0.1 ms, which must not show in what is measured."""

SLOWED = 1.6
"""A sample that took so many times what the quickest did: who was just woken on a busy CPU takes up to 1.5 times."""

_OBJECTS = 1 << 17
"""Floats, 4 MB with what points to them: more than a core's own caches hold, less than the one that cores share."""


@dataclass(frozen=True)
class Neighbours:
    """What they took during a turn."""

    stolen: float = 0.0
    """CPU time, of 1 that this machine asked for; 0 where no system says."""
    slowed: float = 0.0
    """For how much of the time, of 1, a CPU was slower than it can be."""
    nanoseconds: float = 0.0
    """How long an object took that is in no cache of its core: the mean of before and after."""

    @property
    def are_quiet(self) -> bool:
        return self.noise <= 1

    @property
    def noise(self) -> float:
        """For comparison: 1 at the first limit."""
        return max(self.stolen / MOST_STOLEN, self.slowed / MOST_SLOWED, self.nanoseconds / MOST_NANOSECONDS)


def undisturbed(turn: Callable[[], Result], tries: int) -> tuple[Result, Neighbours]:
    """The result of a turn that they let be measured, or of the one of `tries` that they disturbed least.

    Whether a turn counts is decided by what the machine says of its neighbours, never by what the turn measured. With
    more than one try each begins when they are quiet, or after ten seconds.
    """
    measured = []
    for _ in range(tries):
        if tries > 1:
            _wait_until_quiet()
        began = time.monotonic()
        measured.append(watched(turn))
        if measured[-1][1].are_quiet or time.monotonic() - began > LONG_SECONDS:
            break
    return min(measured, key=lambda each: each[1].noise)


def _wait_until_quiet() -> None:
    until = time.monotonic() + MOST_WAIT_SECONDS
    while time.monotonic() < until and not watched(_work)[1].are_quiet:
        time.sleep(PAUSE_SECONDS)


def watched(turn: Callable[[], Result]) -> tuple[Result, Neighbours]:
    """What it returned, and what neighbours took meanwhile."""
    before, used, stolen = nanoseconds_of_memory(), *_cpu_seconds()
    with SpeedSamples() as samples:
        result = turn()
    used, stolen = (now - then for now, then in zip(_cpu_seconds(), (used, stolen), strict=True))
    share = stolen / (used + stolen) if stolen > 0 else 0.0
    return result, Neighbours(share, samples.slowed, (before + nanoseconds_of_memory()) / 2)


class SpeedSamples:
    """How fast CPUs are, again and again while others work on them."""

    quickest = float("inf")
    """CPU seconds of the quickest sample of this run."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="speed-samples", daemon=True)

    def __enter__(self) -> "SpeedSamples":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def __len__(self) -> int:
        return len(self._seconds)

    @property
    def slowed(self) -> float:
        """The share of samples, of 1, that took longer than they can."""
        quickest = SpeedSamples.quickest = min(SpeedSamples.quickest, *self._seconds)
        return sum(seconds > SLOWED * quickest for seconds in self._seconds) / len(self._seconds)

    def _run(self) -> None:
        while True:
            self._seconds.append(_seconds_of_work())
            if self._over.wait(SAMPLE_SECONDS):
                return


def _seconds_of_work() -> float:
    work(1)  # warms what is measured
    return cpu_seconds_of(10)


def _work() -> None:
    """Neighbours take nothing from who asks for nothing."""
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
