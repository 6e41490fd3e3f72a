"""What a run came to."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from tests.simulation.farm import Farm


@dataclass(frozen=True, slots=True)
class Results:
    """Of one policy in one scenario. Waits in seconds, loads as shares of a machine's CPUs."""

    policy: str
    mean_wait: float
    p95_wait: float
    mean_lost: float
    """Seconds that jobs ended later than on a machine of their own: they waited, or shared its CPUs with too many."""
    p95_lost: float
    overshoot: float
    """CPUs wanted over the threshold, mean over machines and seconds of the busy phase."""
    worst: float
    """The most that a machine was wanted in any second: over 1, it was slowed down."""
    utilisation: float
    """Of the CPUs, by jobs and others, in the busy phase."""
    spread: float
    """Greatest load of a machine over the mean of all, mean over the seconds of the busy phase."""


def results(farm: Farm, begin: float, end: float, threshold: float = 0.75) -> Results:
    """Of a run that is over. The busy phase is from `begin` to `end`, seconds."""
    waits = sorted(entry.wait for entry in farm.ledger.entries.values() if entry.started_at is not None)
    lost = sorted(entry.lost for entry in farm.ledger.entries.values() if entry.ended_at is not None)
    seconds = [number for number, at in enumerate(farm.trace.at) if begin <= at < end]
    loads = [[row[second] for row in farm.trace.demand.values()] for second in seconds]
    every = [load for row in loads for load in row]
    return Results(
        policy=farm.policy.name,
        mean_wait=_mean(waits),
        p95_wait=waits[int(0.95 * (len(waits) - 1))],
        mean_lost=_mean(lost),
        p95_lost=lost[int(0.95 * (len(lost) - 1))],
        overshoot=sum(max(0.0, load - threshold) for load in every) / len(every),
        worst=max(every),
        utilisation=utilisation(farm, seconds[0], seconds[-1]),
        spread=_mean([max(row) / _mean(row) for row in loads if sum(row) > 0]),
    )


def mean(runs: Sequence[Results]) -> Results:
    """Of several runs of one policy, each number by itself."""
    numbers = {each.name: _mean([getattr(run, each.name) for run in runs]) for each in fields(Results)[1:]}
    return Results(runs[0].policy, **numbers)


def utilisation(farm: Farm, begin: int, end: int) -> float:
    """Share of all CPUs that were busy from one second to another."""
    used = sum(row[end] - row[begin] for row in farm.trace.busy.values())
    return used / (sum(machine.cpus for machine in farm.machines.values()) * (end - begin))


def greatest_over_least(rows: Sequence[Sequence[float]]) -> float:
    """How far apart loads are, mean over time."""
    return _mean([max(row) / max(min(row), 1e-9) for row in rows])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
