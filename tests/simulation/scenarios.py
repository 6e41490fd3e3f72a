"""What is compared: farms and arrivals, each the same for every policy."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.arrivals import Kind, bimodal, burst, computing, diurnal, light, poisson
from tests.simulation.farm import Farm, MachineSettings
from tests.simulation.host import HostSettings
from tests.simulation.machine import Job
from tests.simulation.policies import LeastConnections, Placement, Policy, Random, RoundRobin

POLICIES: tuple[Callable[[], Policy], ...] = (Placement, Random, RoundRobin, LeastConnections)
MANY = 200
"""Slots of hosts whose load and memory decide how many jobs they run."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One question."""

    name: str
    description: str
    machines: Callable[[], Sequence[MachineSettings]]
    jobs: Callable[[random.Random], list[Job]]
    kind: Kind
    """What had run before, so that its cost is known; else nothing is."""
    busy: tuple[float, float]
    """Seconds between which loads are compared."""
    lasts: float
    """Seconds after which every job must have ended."""

    def run(self, policy: Policy, *, learned: bool = True, seed: int = 1) -> Farm:
        """Lets a policy do it. Without `learned` the farm knows nothing of the jobs at first."""
        farm = Farm(self.machines(), policy, self.jobs(random.Random(seed)))
        if learned:
            draw = random.Random(seed + 1)
            farm.learn(self.kind(number, 0.0, draw) for number in range(200))
        farm.run_until_done(self.lasts)
        return farm


def machine(cpus: float, others: float = 0.0, slots: int | None = None, **settings: object) -> MachineSettings:
    """One with one host. Without `slots` it has as many as CPUs."""
    count = slots or int(cpus)
    host = HostSettings(slots=count, idle_processes=count, **settings)  # type: ignore[arg-type]
    return MachineSettings(cpus, lambda at: others, (host,))


def skewed(machines: int = 12) -> list[MachineSettings]:
    """Of 4 CPUs each, of which other programs use from nothing to 60 %."""
    return [machine(4, 0.6 * number / (machines - 1), MANY) for number in range(machines)]


def mixed() -> list[MachineSettings]:
    """Small and large ones, some used by others as well."""
    return [machine(16, slots=64), machine(8, 0.3, 64), machine(4, slots=64), machine(4, 0.5, 64), machine(4, 0.2, 64)]


def alike(machines: int = 6) -> list[MachineSettings]:
    """Of 4 CPUs, with a slot for each."""
    return [machine(4, 0.1 * (number % 3)) for number in range(machines)]


SCENARIOS = (
    Scenario(
        "burst",
        "1,000 jobs at once, each a fiftieth of a core; 12 hosts of 4 cores, of which others use 0 to 60 %",
        skewed,
        lambda draw: burst(1000, light, draw),
        light,
        (6, 13),
        60,
    ),
    Scenario(
        "stream",
        "20 jobs a second, one in ten computes for 8 s; 5 hosts of 4 to 16 cores, of which others use 0 to 50 %",
        mixed,
        lambda draw: poisson(20, 120, bimodal, draw),
        bimodal,
        (15, 115),
        400,
    ),
    Scenario(
        "day and night",
        "from almost no jobs to 32 a second and back, one in ten computes for 8 s; the same hosts",
        mixed,
        lambda draw: diurnal(16, 180, bimodal, draw),
        bimodal,
        (15, 175),
        600,
    ),
    Scenario(
        "batch",
        "600 jobs at once, each one core for 2 s; 6 hosts of 4 cores and slots, of which others use 0 to 20 %",
        alike,
        lambda draw: burst(600, computing, draw),
        computing,
        (8, 50),
        200,
    ),
)
