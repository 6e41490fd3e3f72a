"""Jobs with 100 KB of arguments that cannot be compressed."""

from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import stage
from tests.bench.systems import System
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import let_go

PAYLOAD_BYTES = 100_000


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Jobs per second: enqueued by one caller, drained, and both after each other."""
    count = system.jobs(scale.payloads, mode)
    with stage(system, mode, count) as at_work:
        at_work.warm(PROCESSES)
        first = at_work.rows(count)
        at_work.hold()
        answer = at_work.ask("payloads", job="swallow", first=first, count=count, size=PAYLOAD_BYTES)
        figures = let_go(at_work, first, count)
    enqueued, drained = count / float(answer["seconds"]), figures["jobs_per_second"]
    return {"drained": drained, "enqueued": enqueued, "both": 1 / (1 / drained + 1 / enqueued)}


WORKLOAD = Workload(
    name="payload",
    title="Jobs with 100 KB of random bytes as argument, 2 processes: drained; enqueued one after the other; both, one "
    "after the other",
    figures=(
        Figure("drained", "drained, jobs/s", ratio=True),
        Figure("enqueued", "enqueued, jobs/s", ratio=True),
        Figure("both", "both, jobs/s", ratio=True),
    ),
    turn=turn,
    modes=("default", "fast"),
)
