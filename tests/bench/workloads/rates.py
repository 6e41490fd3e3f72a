"""How fast held jobs are drained, and at what cost: the core of several workloads."""

from collections.abc import Sequence
from typing import Any

from tests.bench.peers.marks import Marks
from tests.bench.stage import Stage


def drain(at_work: Stage, job: str, count: int, arguments: Sequence[Any]) -> dict[str, float]:
    """Holds the workers, enqueues the jobs, lets go: `jobs_per_second`, and `cpu_<role>` in microseconds per job."""
    first = at_work.rows(count)
    at_work.hold()
    at_work.ask("many", job=job, first=first, count=count, arguments=list(arguments))
    return let_go(at_work, first, count)


def let_go(at_work: Stage, first: int, count: int) -> dict[str, float]:
    """The second half of `drain`, for jobs that are enqueued already."""
    before = at_work.cpu()
    at_work.let_go()
    at_work.until_done(first, count)
    costs = {f"cpu_{role}": 1e6 * seconds / count for role, seconds in at_work.cpu_since(before).items()}
    return {"jobs_per_second": (count - 1) / span(at_work.marks, first, count)} | costs


def span(marks: Marks, first: int, count: int) -> float:
    """Seconds from the first job done to the last: nobody's wake-up counts."""
    done = [marks.row(index)[1] for index in range(first, first + count)]
    return (max(done) - min(done)) / 1e9


def whole_span(marks: Marks, first: int, count: int) -> float:
    """Seconds from the first job begun to the last one done."""
    rows = [marks.row(index) for index in range(first, first + count)]
    return (max(done for _, done, _ in rows) - min(begun for begun, _, _ in rows)) / 1e9


def steady(marks: Marks, first: int, count: int) -> tuple[float, list[int]]:
    """Seconds of the middle of a drain, and the jobs that ended in it.

    Its first and last tenth belong to what precedes and follows the steady state: workers that wake up or learn, the
    last job while the other processes have none.
    """
    by_end = sorted(range(first, first + count), key=lambda index: marks.row(index)[1])
    edge = max(1, count // 10)
    middle = by_end[edge : count - edge]
    return (marks.row(middle[-1])[1] - marks.row(by_end[edge - 1])[1]) / 1e9, middle
