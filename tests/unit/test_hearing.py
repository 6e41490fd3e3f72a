"""When processes with several jobs are heard."""

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.assignments import Assignments
from farm_worker.pool.hearing import LEAST_SECONDS, RESERVE_SECONDS, Hearing, seconds_unheard

seconds = some.floats(min_value=0, max_value=500)


@given(seconds)
def test_a_process_is_heard_before_its_work_is_done_or_within_milliseconds(work: float) -> None:
    assert LEAST_SECONDS <= seconds_unheard(work) <= max(LEAST_SECONDS, work)


@given(seconds)
def test_a_process_with_much_work_has_a_reserve_when_it_is_heard(work: float) -> None:
    if work >= 2 * RESERVE_SECONDS:
        assert work - seconds_unheard(work) >= RESERVE_SECONDS * 0.999


class Talker:
    """A process with jobs ahead of so many seconds, which all have ended once it is heard."""

    def __init__(self, seconds: float) -> None:
        self.assignments = SimpleNamespace(least_seconds_ahead=seconds)
        self.heard = asyncio.Event()

    @property
    def is_quiet(self) -> bool:
        return self.assignments.least_seconds_ahead > 0

    def look(self) -> None:
        self.assignments.least_seconds_ahead = 0
        self.heard.set()


def test_the_process_with_the_least_work_decides_when_all_are_heard() -> None:
    async def scene() -> None:
        talkers = [Talker(0.001), Talker(1.0)]
        processes: Any = talkers
        hearing = Hearing(processes)
        hearing.plan()
        async with asyncio.timeout(5):
            await talkers[0].heard.wait()
        assert talkers[1].heard.is_set()

    asyncio.run(scene())


def test_a_process_that_gets_more_jobs_is_heard_later() -> None:
    async def scene() -> None:
        short, loop = Talker(0.2), asyncio.get_running_loop()
        processes: Any = [short]
        hearing = Hearing(processes)
        hearing.plan()
        await asyncio.sleep(0)
        short.assignments.least_seconds_ahead = 0.4
        hearing.plan()
        began = loop.time()
        async with asyncio.timeout(10):
            await short.heard.wait()
        assert loop.time() - began > 0.3

    asyncio.run(scene())


def test_what_was_heard_a_moment_ago_is_not_heard_again() -> None:
    async def scene() -> None:
        talker = Talker(1000.0)
        processes: Any = [talker]
        hearing = Hearing(processes)
        hearing.hear()
        assert talker.heard.is_set()
        talker.heard.clear()
        talker.assignments.least_seconds_ahead = 1000.0
        hearing.hear()
        assert not talker.heard.is_set()

    asyncio.run(scene())


def test_work_ahead_is_what_is_known_of_the_jobs_that_wait() -> None:
    given = Assignments(1.0, 8)
    assert (given.has_ahead, given.least_seconds_ahead) == (False, 0)
    given.extend(map(job_of, [1.0, 0.5, 0.0, 0.25]))
    assert (given.has_ahead, given.least_seconds_ahead) == (True, 0.75), "the first runs, of the third nothing is known"


def test_jobs_that_run_side_by_side_are_heard_as_soon_as_one_of_them_would_be() -> None:
    given = Assignments(1.0, 8)
    given.extend(map(job_of, [1.0] * 24))
    given.expect(coroutines=True)
    assert (given.has_ahead, given.least_seconds_ahead) == (True, 2)
    given.clear()
    assert not given.has_ahead


def job_of(seconds: float) -> Assignment:
    return Assignment(b"one", "", "default", 1, "rerun", None, b"", least_seconds=seconds)
