"""Memory of workers that hold a large application."""

from tests.bench import processes
from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import stage
from tests.bench.systems import System
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.cold import OF_AN_APP, PRELOADED

JOBS = 16


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Proportional megabytes of all workers together after each process has run jobs of the application."""
    more = OF_AN_APP if system.ours else {} if system.environment == "rq" else PRELOADED
    with stage(system, mode, JOBS, **more) as at_work:
        at_work.warm(PROCESSES)
        first = at_work.rows(JOBS)
        at_work.ask("many", job="look", first=first, count=JOBS, arguments=[])
        at_work.until_done(first, JOBS)
        found = at_work.workers
        return {"megabytes": processes.proportional_bytes(found) / 1e6, "processes": len(found)}


WORKLOAD = Workload(
    name="memory",
    title="Memory (PSS, MB) of all workers of two processes after jobs of an application of 50 MB; `rq worker` "
    "forks for each job and holds nothing in between",
    figures=(Figure("megabytes", "MB", 0, ratio=True), Figure("processes", "processes in all")),
    turn=turn,
)
