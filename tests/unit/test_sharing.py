"""How many coroutine jobs a process may run side by side, as far as such jobs proved themselves."""

from types import SimpleNamespace
from typing import Any

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.sharing import CLOSED_SECONDS, MEMORY_SECONDS, Sharing


def job(called: bytes) -> Assignment:
    return Assignment(b"a", "t" * 32, "default", 1, "rerun", None, b"", called)


def limit(sharing: Sharing, now: float, *, shares: bool = False) -> int:
    processes: Any = [SimpleNamespace(shares=shares)]
    return sharing.limit(processes, now)


def test_room_opens_twice_as_far_as_was_proved_and_no_further_than_the_setting() -> None:
    sharing = Sharing(10)
    assert limit(sharing, 0.0) == 1
    sharing.proved(job(b"shop.wait(1)"), 1, 0.0)
    assert limit(sharing, 0.0) == 2
    sharing.proved(None, 8, 1.0)
    assert limit(sharing, 1.0) == 10


def test_what_was_proved_is_forgotten_after_a_while_unless_such_jobs_still_run() -> None:
    sharing = Sharing(10)
    sharing.proved(None, 2, 0.0)
    assert limit(sharing, 2 * MEMORY_SECONDS, shares=True) == 4
    assert limit(sharing, 4 * MEMORY_SECONDS) == 1


def test_a_job_that_came_back_closes_the_room_for_a_while_and_its_function_is_known() -> None:
    sharing = Sharing(10)
    sharing.proved(job(b"shop.wait(1)"), 4, 0.0)
    back = job(b"shop.bill(7)")
    assert sharing.is_coroutine(back) is None
    sharing.came_back(back, 1.0)
    assert limit(sharing, 1.0) == 1
    assert limit(sharing, 1.0 + CLOSED_SECONDS) == 8
    assert sharing.is_coroutine(job(b"shop.bill(8)")) is False
    assert sharing.is_coroutine(job(b"shop.wait(2)")) is True
