"""What many hosts cost the coordinator, and what they do to placement."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.bench.figures import percentile
from tests.bench.stage import TurnFailed, stage
from tests.bench.systems import System, is_this_project
from tests.bench.workload import Figure, Figures, Scale, Workload

COORDINATOR = [sys.executable, "-P", "-m", "farm.coordinator"]
ROOT = Path(__file__).parents[3]
SETTLE_SECONDS = 2.0
"""Jobs come by then."""

REGISTER_SECONDS = 60.0


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Per cent of a core of coordinator and Redis, and milliseconds from a job's push until a host has it."""
    hosts, seconds = int(mode.split(maxsplit=1)[0]), scale.hosts_seconds
    program = [sys.executable, "-m", "tests.bench.simulated_hosts"]
    with stage(system, "default", 0, commands=[COORDINATOR]) as at_work:
        command = [*program, at_work.url, str(hosts), str(seconds)]
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as simulation:
            try:
                at_work.wait(
                    lambda: at_work.client.zcard("farm:hosts") >= hosts,
                    REGISTER_SECONDS,
                    lambda: f"{at_work.client.zcard('farm:hosts')} of {hosts} hosts had registered",
                )
                time.sleep(SETTLE_SECONDS)
                before, began = at_work.cpu(), time.monotonic()
                time.sleep(seconds - 1)
                elapsed = time.monotonic() - began
                after = at_work.cpu()
                said, complaint = simulation.communicate(timeout=seconds + 60)
            finally:
                simulation.kill()
        if simulation.returncode:
            raise TurnFailed(f"the simulated hosts: {complaint.strip().splitlines()[-1]}")
    taken = json.loads(said)
    shares = {role: 100 * (spent - before[role]) / elapsed for role, spent in after.items()}
    return {
        "coordinator": shares["host"],
        "redis": shares["Redis"],
        "place_p50": statistics.median(taken),
        "place_p99": percentile(taken, 0.99),
        "placed": len(taken),
    }


WORKLOAD = Workload(
    name="hosts",
    title="Simulated hosts that beat each second, and a job now and then (60 a second): CPU in per cent of one "
    "core, ms from the push of a job until its host has it",
    figures=(
        Figure("coordinator", "coordinator, %", 1),
        Figure("redis", "Redis, %", 1),
        Figure("place_p50", "push to host p50, ms", 2),
        Figure("place_p99", "p99", 2),
        Figure("placed", "jobs"),
    ),
    turn=turn,
    takes_part=is_this_project,
    modes_of_ours=("2 hosts", "200 hosts"),
)
