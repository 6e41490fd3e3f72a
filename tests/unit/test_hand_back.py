"""In which order jobs go to the heads of their queues, when they end one after the other as their host stops."""

import pytest

from farm_worker.hand_back import split
from farm_worker.pool.assignment import Assignment


def job(name: str) -> Assignment:
    """`name`: its queue, and as which of all it was begun."""
    one = Assignment(name.encode(), "t" * 32, name[0], 1, "rerun", timeout=None, packed=b"")
    one.dispatched_at = float(name[1:])
    return one


@pytest.mark.parametrize(
    ("ended", "running", "now", "later"),
    [
        ("a1 a2", "", "a1 a2", ""),
        ("a1 a3", "a2", "a3", "a1"),
        ("a1 a2", "a3", "", "a1 a2"),
        ("a2 a3", "a1", "a2 a3", ""),
        ("a1 b2", "b3", "a1", "b2"),
        ("", "a1", "", ""),
    ],
)
def test_a_job_waits_for_those_of_its_queue_that_began_after_it(ended: str, running: str, now: str, later: str) -> None:
    parts = split([job(name) for name in ended.split()], [job(name) for name in running.split()])

    assert [[one.job_id.decode() for one in part] for part in parts] == [now.split(), later.split()]
