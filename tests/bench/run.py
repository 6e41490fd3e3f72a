"""All turns, interleaved: each round goes through every workload, and each workload through every system."""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial

from tests.bench.neighbours import undisturbed
from tests.bench.stage import TurnFailed
from tests.bench.systems import System, Unavailable, describe
from tests.bench.workload import Record, Scale, Workload


def turns(workload: Workload, systems: Sequence[System]) -> list[tuple[System, str]]:
    """Each system with each mode in which it takes part."""
    return [(system, mode) for system in systems if workload.takes_part(system) for mode in _modes(workload, system)]


def run(
    workloads: Sequence[Workload],
    systems: Sequence[System],
    rounds: int,
    scale: Scale,
    tries: int = 1,
) -> Iterator[Record]:
    """A record for each turn. A system that fails is recorded as such and stops nobody."""
    for number in range(1, rounds + 1):
        for workload in workloads:
            listed = turns(workload, systems)
            shift = (number - 1) % max(1, len(listed))  # nobody is always the first, or after the same one
            for system, mode in listed[shift:] + listed[:shift]:
                began = time.monotonic()
                record, neighbours = undisturbed(partial(_turn, workload, system, mode, number, scale), tries)
                record = replace(record, **asdict(neighbours))
                said = record.error or " ".join(f"{key}={value:.4g}" for key, value in record.figures.items())
                where = f"[{number}/{rounds}] {workload.name}: {system.name} ({mode})"
                seconds = time.monotonic() - began
                noise = (
                    f"stolen {neighbours.stolen:.3f}, slowed {neighbours.slowed:.2f}, {neighbours.nanoseconds:.0f} ns"
                )
                print(f"{where}: {said}  [{seconds:.1f} s; {noise}]", file=sys.stderr, flush=True)
                yield record


def _modes(workload: Workload, system: System) -> Sequence[str]:
    if system.ours and workload.modes_of_ours:
        return workload.modes_of_ours
    try:
        known = describe(system)
    except Unavailable:
        return workload.modes[:1]  # its turn will say why
    return [mode for mode in workload.modes if mode in known]


def _turn(workload: Workload, system: System, mode: str, number: int, scale: Scale) -> Record:
    try:
        return Record(workload.name, system.name, mode, number, workload.turn(system, mode, scale))
    except TurnFailed as error:
        return Record(workload.name, system.name, mode, number, error=str(error) or type(error).__name__)
    except Exception as error:  # of a peer's library or of ours: one turn less, not one benchmark less
        return Record(workload.name, system.name, mode, number, error=f"{type(error).__name__}: {error}")
