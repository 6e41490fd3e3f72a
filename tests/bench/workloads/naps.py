"""Jobs that wait for 10 ms, as for a network, sixteen at a time."""

from tests.bench.peers.adapter import MANY
from tests.bench.stage import stage
from tests.bench.systems import System, has_processes
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import drain, whole_span

NAP_SECONDS = 0.01


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """The share of what is ideal: jobs × 10 ms ÷ (16 × time)."""
    count = max(10 * MANY, system.jobs(scale.naps, mode))
    with stage(system, mode, count) as at_work:
        at_work.warm(MANY)
        drain(at_work, "nap", count, [NAP_SECONDS])
        elapsed = whole_span(at_work.marks, at_work.rows(0) - count, count)
    return {"share": count * NAP_SECONDS / (MANY * elapsed)}


WORKLOAD = Workload(
    name="naps",
    title="Jobs that sleep for 10 ms, sixteen at a time (threads, coroutines or processes, as the system "
    "offers): share of the ideal",
    figures=(Figure("share", "share of ideal", 3, ratio=True),),
    turn=turn,
    takes_part=has_processes,
    modes=("many",),
)
