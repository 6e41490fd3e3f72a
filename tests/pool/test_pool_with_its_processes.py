"""The pool with the processes that it has in production: jobs of plain RQ, crashes, overdue code."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
import redis

from farm_worker.pool import process
from farm_worker.pool.reasons import Reason
from tests.pool.conftest import ready, until
from tests.support.own_pool import OwnPool

JOBS = """
import signal

def double(number):
    return number * 2

def measure(text):
    return len(text)

def crash():
    os.kill(os.getpid(), signal.SIGSEGV)

def wait_for(path):
    while not os.path.exists(path):
        time.sleep(0.005)

def hold_on():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    time.sleep(600)

def swallow_everything():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            time.sleep(1)
        except BaseException:
            pass

def say(count):
    print("x" * count)
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, user_folder: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, user_folder)
    own.write(JOBS)
    return own


def test_jobs_of_plain_rq_run_and_closing_leaves_nothing(own: OwnPool) -> None:
    async def scene() -> None:
        jobs = [own.job("double", number) for number in range(20)]
        large = own.job("measure", "x" * 2_000_000)
        async with own.pool(slots=2) as watched:
            await ready(watched, 2)
            for assignment in (*jobs, large):
                assert watched.pool.dispatch(assignment, depth=20)
            await until(lambda: len(watched.outcomes) == 21, "all are done")

            assert {outcome.kind for _, outcome in watched.outcomes} == {"finished"}
            await watched.pool.close(timeout=20)
            assert {(end.reason, end.exit_code) for end, _, _ in watched.ends} == {(Reason.CLOSED, 0)}

    asyncio.run(scene())


def test_a_crash_is_blamed_on_its_job_and_the_process_is_replaced(own: OwnPool) -> None:
    async def scene() -> None:
        before, crash, after = own.job("double", 1), own.job("crash"), own.job("double", 2)
        async with own.pool() as watched:
            await ready(watched)
            for assignment in (before, crash, after):
                assert watched.pool.dispatch(assignment, depth=3)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, unbegun = watched.ends[0]
            assert (end.signal, begun, unbegun) == ("SIGSEGV", crash, [after])
            assert watched.done() == [before.job_id]
            await ready(watched)
            assert watched.pool.dispatch(after, depth=1)
            await until(lambda: len(watched.outcomes) == 2, "the one that was not begun has run")

    asyncio.run(scene())


def test_what_was_not_begun_comes_back_and_can_be_sent_again(own: OwnPool, tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        running = own.job("wait_for", str(gate))
        waiting = [own.job("double", number) for number in range(3)]
        async with own.pool() as watched:
            await ready(watched)
            for assignment in (running, *waiting):
                assert watched.pool.dispatch(assignment, depth=4)
            await until(lambda: watched.pool.processes[0].begun is running, "the first has begun")

            assert watched.pool.take_back(None) == waiting
            gate.touch()
            for assignment in waiting:
                assert watched.pool.dispatch(assignment, depth=4)
            await until(lambda: len(watched.outcomes) == 4, "all are done")
            assert watched.done() == [assignment.job_id for assignment in (running, *waiting)]

    asyncio.run(scene())


@pytest.mark.parametrize("function", ["hold_on", "swallow_everything"])
def test_code_that_does_not_heed_its_timeout_is_killed(
    own: OwnPool, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.5)

    async def scene() -> None:
        overdue = own.job(function, timeout=1)
        async with own.pool() as watched:
            await ready(watched)
            watched.pool.dispatch(overdue, depth=1)
            await until(lambda: watched.ends, "the process has ended")

            assert (watched.ends[0][0].reason, watched.ends[0][1]) == (Reason.JOB_TIMEOUT, overdue)

    asyncio.run(scene())


def test_an_idle_process_that_is_killed_is_replaced(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            killed = watched.pool.processes[0].pid
            os.kill(killed, signal.SIGKILL)
            await until(lambda: watched.ends, "it has ended")
            await ready(watched)

            assert watched.pool.processes[0].pid != killed

    asyncio.run(scene())


def test_what_a_job_prints_blocks_nothing(own: OwnPool) -> None:
    async def scene() -> None:
        async with own.pool() as watched:
            await ready(watched)
            watched.pool.dispatch(own.job("say", 3_000_000), depth=1)
            await until(lambda: watched.outcomes, "it is done")

            assert watched.outcomes[0][1].kind == "finished"

    asyncio.run(scene())
