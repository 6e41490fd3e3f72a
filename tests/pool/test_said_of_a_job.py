"""What a process says of the job that it runs, and what the host makes of it: `JobLimit`, `Dirty`."""

import asyncio

import pytest

from farm_worker.pool import process
from farm_worker.pool.reasons import Reason
from tests.pool.conftest import Watched, job, ready, until

pytestmark = pytest.mark.usefixtures("obedient")


def test_a_dirty_process_ends_after_its_job_and_the_others_come_back() -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            dirty, *others = [job("dirty", "it left a thread"), job(), job()]
            for assignment in (dirty, *others):
                assert watched.pool.dispatch(assignment, depth=3)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, unbegun = watched.ends[0]
            assert watched.done() == [dirty.job_id]
            assert (end.reason, end.abnormal, begun, unbegun) == (Reason.RECYCLED, False, None, others)
            assert end.error == "it left a thread"
            await ready(watched)

    asyncio.run(scene())


def test_a_job_may_have_a_shorter_limit_than_its_record_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.2)

    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            limited = job("limit_and_hang", 0.3, timeout=600)
            watched.pool.dispatch(limited, depth=1)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, _ = watched.ends[0]
            assert (end.reason, begun) == (Reason.JOB_TIMEOUT, limited)
            assert limited.timeout == 0.3

    asyncio.run(scene())


def test_a_job_may_have_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.2)

    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            endless = job("limit_and_hang", 0, timeout=0.5)
            watched.pool.dispatch(endless, depth=1)
            await until(lambda: endless.timeout is None, "it was heard")
            await asyncio.sleep(1.2)

            assert not watched.ends

    asyncio.run(scene())
