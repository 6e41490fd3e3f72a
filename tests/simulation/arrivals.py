"""When jobs come, and what they cost. All by a generator of the caller's: the same seed, the same jobs."""

import math
import random
from collections.abc import Callable, Iterator
from itertools import count

from tests.simulation.machine import GIGABYTE, Job

Kind = Callable[[int, float, random.Random], Job]
"""Makes a job from its number and the time at which it comes."""


def light(number: int, at: float, draw: random.Random) -> Job:
    """Waits most of its time: 10 s, in which it uses a fiftieth of a core."""
    seconds = draw.uniform(8, 12)
    return Job(number, at, 0.02 * seconds, 0.02, memory=GIGABYTE // 64, function="light")


def computing(number: int, at: float, draw: random.Random) -> Job:
    """Keeps one core busy for about two seconds."""
    return Job(number, at, draw.uniform(1.5, 2.5), 1.0, memory=GIGABYTE // 16, function="computing")


def bimodal(number: int, at: float, draw: random.Random) -> Job:
    """One in ten computes for 8 s, the others wait for most of 2 s."""
    if draw.random() < 0.1:
        return Job(number, at, draw.uniform(6, 10), 1.0, memory=GIGABYTE // 4, function="heavy")
    seconds = draw.uniform(1, 3)
    return Job(number, at, 0.05 * seconds, 0.05, memory=GIGABYTE // 64, function="light")


def burst(jobs: int, kind: Kind, draw: random.Random, at: float = 5.0) -> list[Job]:
    """All at once."""
    return [kind(number, at, draw) for number in range(jobs)]


def poisson(per_second: float, seconds: float, kind: Kind, draw: random.Random) -> list[Job]:
    """One by one, each independent of the others."""
    return list(_waves(lambda at: per_second, per_second, seconds, kind, draw))


def diurnal(mean: float, seconds: float, kind: Kind, draw: random.Random) -> list[Job]:
    """As many as by day and by night: one wave, from almost none to twice the mean."""
    return list(_waves(lambda at: mean * (1 - math.cos(2 * math.pi * at / seconds)), 2 * mean, seconds, kind, draw))


def _waves(
    rate: Callable[[float], float], most: float, seconds: float, kind: Kind, draw: random.Random
) -> Iterator[Job]:
    at, numbers = 0.0, count()
    while (at := at + draw.expovariate(most)) < seconds:
        if draw.random() * most < rate(at):
            yield kind(next(numbers), at, draw)
