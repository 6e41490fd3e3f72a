"""Empty jobs."""

from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import stage
from tests.bench.systems import System
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import drain


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Jobs per second, and CPU microseconds per job by role."""
    count = system.jobs(scale.jobs, mode)
    with stage(system, mode, count) as at_work:
        at_work.warm(PROCESSES)
        return drain(at_work, "nothing", count, [])


WORKLOAD = Workload(
    name="drain",
    title="Empty jobs, 2 processes: workers warmed, then held; jobs enqueued; workers let go. From the first "
    "job done to the last",
    figures=(
        Figure("jobs_per_second", "jobs/s", ratio=True),
        Figure("cpu_Redis", "CPU µs/job: Redis"),
        Figure("cpu_workers", "workers"),
        Figure("cpu_coordinator", "coordinator"),
        Figure("cpu_host", "host"),
        Figure("cpu_processes", "processes"),
    ),
    turn=turn,
    modes=("default", "fast"),
)
