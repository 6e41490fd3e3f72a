"""When processes with several jobs are heard."""

import asyncio
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from farm_worker.pool.assignments import Assignments
from farm_worker.pool.hearing import LEAST_SECONDS, RESERVE_SECONDS, Hearing, seconds_unheard

jobs = some.integers(min_value=0, max_value=500)
seconds = some.floats(min_value=0, max_value=1)


@given(jobs, seconds)
def test_a_process_is_heard_before_its_work_is_done_or_within_milliseconds(ahead: int, job_seconds: float) -> None:
    work = ahead * job_seconds
    assert LEAST_SECONDS <= seconds_unheard(ahead, job_seconds) <= max(LEAST_SECONDS, work)


@given(jobs, seconds)
def test_a_process_with_much_work_has_a_reserve_when_it_is_heard(ahead: int, job_seconds: float) -> None:
    work = ahead * job_seconds
    if work >= 2 * RESERVE_SECONDS:
        assert work - seconds_unheard(ahead, job_seconds) >= RESERVE_SECONDS * 0.999


class Talker:
    """A process with so many jobs ahead, which all have ended once it is heard."""

    def __init__(self, ahead: int) -> None:
        self.assignments = SimpleNamespace(ahead=ahead)
        self.heard = asyncio.Event()

    @property
    def is_quiet(self) -> bool:
        return self.assignments.ahead > 0

    def look(self) -> None:
        self.assignments.ahead = 0
        self.heard.set()


def test_the_process_with_the_least_work_decides_when_all_are_heard() -> None:
    async def scene() -> None:
        talkers = [Talker(1), Talker(1000)]
        processes: Any = talkers
        hearing = Hearing(processes)
        hearing.job_seconds = 0.001
        hearing.plan()
        async with asyncio.timeout(5):
            await talkers[0].heard.wait()
        assert talkers[1].heard.is_set()

    asyncio.run(scene())


def test_a_process_that_gets_more_jobs_is_heard_later() -> None:
    async def scene() -> None:
        short, loop = Talker(1), asyncio.get_running_loop()
        processes: Any = [short]
        hearing = Hearing(processes)
        hearing.job_seconds = 0.2
        hearing.plan()
        await asyncio.sleep(0)
        short.assignments.ahead = 2
        hearing.plan()
        began = loop.time()
        async with asyncio.timeout(10):
            await short.heard.wait()
        assert loop.time() - began > 0.3

    asyncio.run(scene())


def test_what_was_heard_a_moment_ago_is_not_heard_again() -> None:
    async def scene() -> None:
        talker = Talker(1000)
        processes: Any = [talker]
        hearing = Hearing(processes)
        hearing.job_seconds = 1.0
        hearing.hear()
        assert talker.heard.is_set()
        talker.heard.clear()
        talker.assignments.ahead = 1000
        hearing.hear()
        assert not talker.heard.is_set()

    asyncio.run(scene())


def test_jobs_that_run_side_by_side_are_heard_as_soon_as_one_of_them_would_be() -> None:
    given = Assignments(1.0, 8)
    given.extend(range(24))  # type: ignore[arg-type]
    assert given.ahead == 23
    given.expect(coroutines=True)
    assert given.ahead == 2
    given.clear()
    assert given.ahead == 0
