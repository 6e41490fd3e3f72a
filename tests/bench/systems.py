"""The job systems that are compared, and the environment that each gets, with its versions pinned."""

import json
import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = Path(sys.prefix) / "bench"
"""Inside of the environment that runs the benchmark, where `make clean` finds them."""

REDIS = "redis[hiredis]==8.1.0"
PINS: dict[str, tuple[str, ...]] = {
    "rq": ("rq==3.0.0", REDIS),
    "celery": ("celery==5.7.0", "packaging==26.3", REDIS),
    "dramatiq": ("dramatiq==2.2.1", REDIS),
    "huey": ("huey==3.5.4", REDIS),
    "taskiq": ("taskiq==0.13.0", "taskiq-redis==1.2.4", REDIS),
    "saq": ("saq==0.26.4", "redis[hiredis]==7.4.1", "typing-extensions==4.16.0"),
    "streaq": ("streaq==7.2.0",),
    "arq": ("arq==0.28.0", "redis[hiredis]==5.3.1"),
}
"""What pip installs. A client for Redis that is older than the others' is the newest that the peer allows."""


class Unavailable(Exception):
    """A system cannot take part: the text says why."""


@dataclass(frozen=True, eq=False)
class System:
    """One row of the tables."""

    name: str
    adapter: str
    environment: str = ""
    """A name in PINS; empty: the environment that runs the benchmark."""
    kind: str = ""
    """Which of the adapter's kinds, if it has some."""
    share: float = 1.0
    """Of the number of jobs in a workload. A slow system gets fewer, as its rate does not depend on it."""
    slow_modes: dict[str, float] = field(default_factory=dict)
    """The same by mode, where it differs."""

    producer_only: bool = False
    """Whether it differs from another only in what enqueues."""
    is_bare: bool = False
    """Whether it is no job system, but the same work with nothing in between: what the others can come near to."""

    @property
    def ours(self) -> bool:
        """Whether it is this project."""
        return not self.environment

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return str(ENVIRONMENTS / self.environment / "bin" / "python") if self.environment else sys.executable

    def jobs(self, number: int, mode: str) -> int:
        """How many of `number` jobs it gets."""
        return max(20, int(number * self.slow_modes.get(mode, self.share)))


FARM = System("farm", "farm_peer", kind="client")
SYSTEMS: tuple[System, ...] = (
    FARM,
    System("farm, plain rq enqueues", "farm_peer", kind="rq", producer_only=True),
    System("rq worker", "rq_peer", "rq", "fork", share=0.02),
    System("rq SimpleWorker", "rq_peer", "rq", "simple", share=0.1),
    System("rq worker-pool", "rq_peer", "rq", "pool", share=0.02),
    System("celery", "celery_peer", "celery", share=0.2),
    System("dramatiq", "dramatiq_peer", "dramatiq", share=0.15, slow_modes={"fast": 0.6}),
    System("huey", "huey_peer", "huey", share=0.5),
    System("saq", "saq_peer", "saq", share=0.3),
    System("taskiq", "taskiq_peer", "taskiq", share=0.4, slow_modes={"fast": 0.6}),
    System("streaq", "streaq_peer", "streaq", share=0.2),
    System("arq", "arq_peer", "arq", share=0.002, slow_modes={"quick": 0.05, "many": 0.01}),
    System("bare", "bare_peer", "rq", is_bare=True),
)


def any_system(system: System) -> bool:
    """All job systems."""
    return not system.is_bare


def has_workers(system: System) -> bool:
    """Whether its workers are its own."""
    return not system.producer_only and not system.is_bare


def has_processes(system: System) -> bool:
    """As `has_workers`, and the bare work beside them."""
    return not system.producer_only


def enqueues_its_own_way(system: System) -> bool:
    """Of those that plain rq enqueues for, `rq worker` stands for all."""
    return has_workers(system) and system.kind in ("", "client", "fork")


def is_this_project(system: System) -> bool:
    """The farm, in its own way."""
    return system is FARM


def chosen(words: Sequence[str]) -> list[System]:
    """Systems whose name begins with one of the words; all without words. This project is always among them."""
    found = [each for each in SYSTEMS if not words or each.name.startswith(tuple(words))]
    return found if FARM in found else [FARM, *found]


@cache
def prepare(environment: str) -> None:
    """Makes the environment if it is not there as pinned. Raises Unavailable."""
    folder, wanted = ENVIRONMENTS / environment, "\n".join(PINS[environment])
    stamp = folder / "pins.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing {' '.join(PINS[environment])} ...", file=sys.stderr)
    try:
        venv.create(folder, clear=True, with_pip=True)
        quiet = ["--quiet", "--disable-pip-version-check"]
        command = [str(folder / "bin" / "python"), "-m", "pip", "install", *quiet, *PINS[environment]]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    except (OSError, subprocess.SubprocessError) as error:
        said = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        raise Unavailable(f"not installed: {said[-1] if said else error}") from error
    stamp.write_text(wanted)


@cache
def describe(system: System) -> dict[str, tuple[str, list[list[str]]]]:
    """Mode → its settings in a line, and the programs that are its workers. Raises Unavailable."""
    if system.environment:
        prepare(system.environment)
    command = [system.python, str(PEERS / "producer.py"), system.adapter, "describe"]
    environment = os.environ | {"BENCH_KIND": system.kind}
    run = subprocess.run(command, cwd=PEERS, env=environment, capture_output=True, text=True, check=False, timeout=60)
    if run.returncode:
        raise Unavailable(f"its adapter does not load: {run.stderr.strip().splitlines()[-1]}")
    described: dict[str, tuple[str, list[list[str]]]] = json.loads(run.stdout)
    return described
