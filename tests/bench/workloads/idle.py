"""What workers cost that have nothing to do."""

import time

from tests.bench import processes
from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import stage
from tests.bench.systems import System
from tests.bench.workload import Figure, Figures, Scale, Workload

SETTLE_SECONDS = 7.0
"""What follows a start is over by then: scripts are known to the server, imports done."""


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Per cent of one core by role, how often clients send something to Redis, megabytes by role."""
    with stage(system, mode, 0) as at_work:
        at_work.warm(PROCESSES)
        time.sleep(SETTLE_SECONDS)
        before, began = at_work.cpu(), time.monotonic()
        sends = int(at_work.client.info("stats")["total_reads_processed"])
        time.sleep(scale.idle_seconds)
        elapsed = time.monotonic() - began
        sends = int(at_work.client.info("stats")["total_reads_processed"]) - sends - 1  # one is this question
        shares = {role: 100 * (seconds - before[role]) / elapsed for role, seconds in at_work.cpu().items()}
        roles = {role: processes.proportional_bytes(found) / 1e6 for role, found in at_work.roles.items()}
        counts = {role: len(found) for role, found in at_work.roles.items()}
    together = sum(share for role, share in shares.items() if role != "Redis")
    return (
        {f"cpu_{role}": share for role, share in shares.items()}
        | {f"megabytes_{role}": megabytes / max(counts[role], 1) for role, megabytes in roles.items()}
        | {
            "cpu_together": together,
            "sends": sends / elapsed,
            "megabytes": sum(megabytes for role, megabytes in roles.items() if role != "Redis"),
        }
    )


WORKLOAD = Workload(
    name="idle",
    title="Nothing to do: CPU in per cent of one core, and how often a client sends something to Redis (a "
    "pipeline is one). Memory (PSS) without an application. Workers: for the farm host, coordinator and processes",
    figures=(
        Figure("cpu_together", "workers, %", 2),
        Figure("cpu_coordinator", "coordinator, %", 2),
        Figure("cpu_host", "host, %", 2),
        Figure("cpu_Redis", "Redis, %", 2),
        Figure("sends", "sends/s", 1),
        Figure("megabytes", "memory: workers, MB", 0),
        Figure("megabytes_coordinator", "coordinator, MB", 0),
        Figure("megabytes_host", "host, MB", 0),
        Figure("megabytes_processes", "a process, MB", 0),
    ),
    turn=turn,
)
