"""What a workload is, how large it is, and what is kept of each of its turns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.bench.systems import System, has_workers

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Scale:
    """How much of each is measured."""

    jobs: int = 10_000
    enqueued: int = 3_000
    samples: int = 300
    sample_seconds: float = 25.0
    cpu_jobs: int = 2_000
    naps: int = 4_000
    payloads: int = 1_500
    idle_seconds: float = 10.0
    deferral_seconds: float = 10.0
    backlogs: tuple[int, ...] = (1_000, 30_000, 1_000_000)
    drained: int = 20_000
    hosts: int = 200
    hosts_seconds: float = 20.0
    forks: int = 50


QUICK = Scale(
    jobs=2_000,
    enqueued=500,
    samples=40,
    sample_seconds=2.0,
    cpu_jobs=200,
    naps=500,
    payloads=200,
    idle_seconds=3.0,
    deferral_seconds=4.0,
    backlogs=(1_000, 30_000),
    drained=3_000,
    hosts_seconds=6.0,
    forks=10,
)


@dataclass(frozen=True)
class Figure:
    """One column: a number of each turn."""

    key: str
    title: str
    digits: int = 0
    ratio: bool = False
    """Whether ours ÷ theirs is shown, from turns of the same round."""


@dataclass(frozen=True)
class Workload:
    """Something that systems are made to do."""

    name: str
    title: str
    """What is measured, in a line or two: the text above its table."""
    figures: tuple[Figure, ...]
    turn: Callable[[System, str, Scale], Figures]
    """Measures one system once. Raises TurnFailed."""
    takes_part: Callable[[System], bool] = has_workers
    modes: tuple[str, ...] = ("default",)
    """Each system is measured in those that its adapter has."""
    modes_of_ours: tuple[str, ...] = ()
    """This project is measured in these instead: they are the workload's own."""


@dataclass(frozen=True)
class Record:
    """What one turn gave: figures, or why there are none."""

    workload: str
    system: str
    mode: str
    round: int
    figures: Figures = field(default_factory=dict)
    error: str = ""
    stolen: float = 0.0
    """CPU time that went to neighbours, of 1 that was asked for."""
    slowed: float = 0.0
    """For how much of the time a CPU was slower than it can be."""
    nanoseconds: float = 0.0
    """How long memory took."""
