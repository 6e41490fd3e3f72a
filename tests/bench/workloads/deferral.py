"""Every host is at its threshold for half of the run: nothing may be lost, and the rate must come back."""

import tempfile
import time
from pathlib import Path

from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import WAIT_SECONDS, Stage, stage
from tests.bench.systems import System, is_this_project
from tests.bench.workload import Figure, Figures, Scale, Workload
from tests.bench.workloads.rates import drain, span

STATE_SECONDS = 20.0


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """Rates before and after, jobs not done, and how soon the first one began when there was room again."""
    count = scale.jobs
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "full"
        with stage(system, "default", 2 * count, FARM_APP="full_app", BENCH_FULL=str(full)) as at_work:
            at_work.warm(PROCESSES)
            before = drain(at_work, "nothing", count, [])["jobs_per_second"]
            full.touch()
            _until_state(at_work, b"full")
            first = at_work.rows(count)
            _enqueue_while_full(at_work, first, count, scale.deferral_seconds)
            begun_while_full = at_work.marks.number_done(first, count)
            full.unlink()
            room_at = time.monotonic_ns()
            _until_all_ended(at_work, count)
            begun = min(at_work.marks.row(index)[0] for index in range(first, first + count))
            after = (count - 1) / span(at_work.marks, first, count)
            lost = count - at_work.marks.number_done(first, count)
    return {
        "before": before,
        "after": after,
        "begun_while_full": begun_while_full,
        "resumed_ms": (begun - room_at) / 1e6,
        "lost": lost,
    }


def _enqueue_while_full(at_work: Stage, first: int, count: int, seconds: float) -> None:
    """A tenth at a time, until it was full for that long with the queue marked as deferred."""
    part, deferral = count // 10, "farm:deferral:default"
    at_work.ask("many", job="nothing", first=first, count=part, arguments=[])
    at_work.wait(lambda: at_work.client.exists(deferral) == 1, STATE_SECONDS, lambda: "the queue was not deferred")
    for number in range(1, 10):
        time.sleep(seconds / 10)
        at_work.ask("many", job="nothing", first=first + number * part, count=part, arguments=[])
    time.sleep(seconds / 10)


def _until_all_ended(at_work: Stage, count: int) -> None:
    """Nothing waits and nothing runs: what has not marked itself by then is lost."""
    keys = ["rq:queue:default", *(f"farm:host:bench:*:{part}" for part in ("inbox", "running"))]

    def ended() -> bool:
        found = [key for pattern in keys for key in at_work.client.keys(pattern)]
        return not found

    at_work.wait(ended, WAIT_SECONDS, lambda: f"{count} jobs had not ended")


def _until_state(at_work: Stage, state: bytes) -> None:
    at_work.wait(
        lambda: at_work.client.hget("farm:host:bench", "state") == state,
        STATE_SECONDS,
        lambda: f"the host was not {state.decode()}",
    )


WORKLOAD = Workload(
    name="deferral",
    title="The only host is at its threshold for half of the run while jobs come: empty jobs/s before and "
    "after, jobs begun meanwhile and jobs lost (both must be 0), ms from room to the first start (a beat "
    "is a second, and a host that was full stays so for a second)",
    figures=(
        Figure("before", "jobs/s before"),
        Figure("after", "after"),
        Figure("begun_while_full", "begun while full"),
        Figure("lost", "lost"),
        Figure("resumed_ms", "room to first start, ms"),
    ),
    turn=turn,
    takes_part=is_this_project,
)
