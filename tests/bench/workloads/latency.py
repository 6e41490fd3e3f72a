"""How soon a job starts on a system that idles, and how soon its result is in the caller's hand."""

import statistics
from collections.abc import Sequence

from tests.bench.figures import percentile
from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import stage
from tests.bench.systems import System, any_system
from tests.bench.workload import Figure, Figures, Scale, Workload

PAUSES = [0.002, 0.03]
"""Seconds between two jobs, drawn at random: no rhythm of a worker is met by chance."""

WARM_SAMPLES = 10


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Milliseconds from the call of enqueue to the start of the function, and to the result."""
    samples, seconds = scale.samples + WARM_SAMPLES, scale.sample_seconds
    with stage(system, mode, 2 * samples) as at_work:
        at_work.warm(PROCESSES)
        first = at_work.rows(samples)
        paced = {"samples": samples, "seconds": seconds, "pauses": PAUSES}
        called = at_work.ask("starts", first=first, **paced)["called"]
        starts = _milliseconds(called, [at_work.marks.row(first + number)[0] for number in range(len(called))])
        answer = at_work.ask("results", first=at_work.rows(samples), **paced)
        results = _milliseconds(answer["called"], answer["received"])
    return {
        "start_p50": statistics.median(starts),
        "start_p99": percentile(starts, 0.99),
        "result_p50": statistics.median(results),
        "result_p99": percentile(results, 0.99),
        "samples": len(starts),
    }


def _milliseconds(called: Sequence[int], reached: Sequence[int]) -> list[float]:
    pairs = list(zip(called, reached, strict=True))
    return [(to - begun) / 1e6 for begun, to in pairs[WARM_SAMPLES:] or pairs]


WORKLOAD = Workload(
    name="latency",
    title="One job at a time on an idle system, ms from the call of enqueue: until its function starts, until "
    "its result is in the caller's hand",
    figures=(
        Figure("start_p50", "start p50", 2, ratio=True),
        Figure("start_p99", "p99", 2),
        Figure("result_p50", "result p50", 2, ratio=True),
        Figure("result_p99", "p99", 2),
        Figure("samples", "samples"),
    ),
    turn=turn,
    modes=("default", "quick"),
    takes_part=any_system,
)
