"""EXECUTOR=thread: the threads of one process run the jobs."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest
import redis

from farm_worker.pool import process
from farm_worker.pool.reasons import Reason
from tests.pool.conftest import Watched, ready, until
from tests.support.own_pool import OwnPool, run

APP = """
import asyncio

@app.preload
def load(process):
    process.userdata["loaded_in"] = (os.getpid(), threading.current_thread().name)

@app.prewarm
def connect(process):
    process.userdata["own"] = process.number
    yield
    open(f"{FOLDER}/closed-{process.number}", "w").close()

def facts():
    process = farm.current_process()
    print("said", process.number)
    return [os.getpid(), process.number, process.userdata["own"], process.userdata["loaded_in"][0],
            threading.current_thread().name]

def both(path, other):
    open(path, "w").close()
    while not os.path.exists(other):
        time.sleep(0.005)

async def number():
    await asyncio.sleep(0.05)
    return farm.current_process().number

def spin():
    while True:
        pass

async def sleep():
    await asyncio.sleep(600)

def hold_on():
    time.sleep(600)

def crash():
    os.kill(os.getpid(), 11)
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write(f"FOLDER = {str(tmp_path)!r}\n{APP}")
    return own


def pool(own: OwnPool, slots: int = 2, **settings: object) -> Watched:
    return own.pool(slots=slots, executor="thread", **settings)


def test_threads_of_one_process_have_each_their_own_prewarm_and_share_what_was_preloaded(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=3) as watched:
            await ready(watched, 3)
            assert watched.pids() == set(watched.pool.helper_pids)
            paths = [str(own.folder / name) for name in "ab"]
            watched.pool.dispatch(own.job("both", *paths), depth=1)
            watched.pool.dispatch(own.job("both", *reversed(paths)), depth=1)
            await until(lambda: len(watched.outcomes) == 2, "two jobs ran at once")
            for handle in watched.pool.processes:
                seen = await run(own, watched, "facts")
                assert seen[0] == seen[3] == handle.pid
                assert seen[1] == seen[2]
                assert seen[4] == f"farm-{seen[1]}"
            assert await run(own, watched, "number") in {1, 2, 3}

    asyncio.run(scene())


def test_a_thread_closes_what_its_prewarm_opened_and_another_one_takes_its_place(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=1, max_jobs_per_process=1) as watched:
            first = await run(own, watched, "facts")
            await until(lambda: watched.ends, "the thread has ended")
            await ready(watched)
            second = await run(own, watched, "facts")

            assert (own.folder / f"closed-{first[1]}").exists()
            assert first[0] == second[0], "the process is the same"
            assert first[1] != second[1]
            assert watched.ends[0][0].reason is Reason.RECYCLED

    asyncio.run(scene())


@pytest.mark.parametrize("function", ["spin", "sleep"])
def test_a_job_beyond_its_timeout_fails_and_its_thread_goes_on(own: OwnPool, function: str) -> None:
    async def scene() -> None:
        async with pool(own, slots=1) as watched:
            await ready(watched)
            watched.pool.dispatch(own.job(function, timeout=1), depth=1)
            await until(lambda: watched.outcomes, "it has ended")

            assert watched.outcomes[0][1].kind == "failed"
            assert "JobTimeoutException" in watched.outcomes[0][1].summary
            assert "exceeded maximum timeout value (1 seconds)" in watched.outcomes[0][1].summary
            assert (await run(own, watched, "facts"))[1] == 1
            assert not watched.ends

    asyncio.run(scene())


def test_a_thread_that_has_to_be_killed_takes_its_process_and_the_other_jobs_are_not_blamed(
    own: OwnPool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.3)

    async def scene() -> None:
        async with pool(own, slots=3) as watched:
            await ready(watched, 3)
            pid = watched.pool.helper_pids[0]
            guilty, innocent = own.job("hold_on", timeout=1), own.job("hold_on")
            for job in (guilty, innocent):
                watched.pool.dispatch(job, depth=1)
            await until(lambda: len(watched.ends) == 3, "all threads have ended")

            reasons = {begun.job_id if begun else None: end.reason for end, begun, _ in watched.ends}
            assert reasons == {guilty.job_id: Reason.JOB_TIMEOUT, innocent.job_id: Reason.CLOSED, None: Reason.CLOSED}
            assert f"process {pid} is killed with all of its threads" in caplog.text
            spared = next(end for end, begun, _ in watched.ends if begun is innocent)
            assert "was killed to end process" in spared.error
            await ready(watched, 3)
            assert pid not in watched.pids()
            assert not psutil.pid_exists(pid)

    asyncio.run(scene())


def test_a_crash_ends_all_threads_and_they_come_back(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own) as watched:
            await ready(watched, 2)
            job = own.job("crash")
            watched.pool.dispatch(job, depth=1)
            await until(lambda: len(watched.ends) == 2, "both threads have ended")
            assert {(end.reason, end.signal) for end, _, _ in watched.ends} == {(Reason.CRASHED, "SIGSEGV")}
            await ready(watched, 2)

    asyncio.run(scene())


def test_a_prewarm_that_fails_in_a_thread_is_a_failed_warm_up(own: OwnPool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm_worker.pool.recycling.FIRST_DELAY_SECONDS", 0.1)
    trouble = own.folder / "trouble"
    trouble.touch()
    own.write(f"@app.prewarm\ndef connect(process):\n    if os.path.exists({str(trouble)!r}):\n"
              "        raise OSError('no database')\n")  # fmt: skip

    async def scene() -> None:
        async with pool(own) as watched:
            await until(lambda: watched.pool.unhealthy_reason, "it is unhealthy")
            assert "no database" in str(watched.pool.unhealthy_reason)
            assert watched.pool.ready == 0
            assert {end.reason for end, _, _ in watched.ends} == {Reason.INITIALIZE_ERROR}
            trouble.unlink()
            await ready(watched, 2)

    asyncio.run(scene())


def test_idle_threads_whose_process_is_killed_are_replaced(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own) as watched:
            await ready(watched, 2)
            (pid,) = watched.pids()
            os.kill(pid, signal.SIGKILL)
            await until(lambda: len(watched.ends) == 2, "both have ended")
            await ready(watched, 2)
            assert len(watched.pids() - {pid}) == 1

    asyncio.run(scene())


def test_new_code_gets_a_new_process_while_the_old_threads_end_their_jobs(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=1) as watched:
            await ready(watched)
            old = (await run(own, watched, "facts"))[0]
            watched.pool.recycle()
            await until(lambda: watched.ends and watched.pool.ready, "it was replaced")
            assert (await run(own, watched, "facts"))[0] != old
            await until(lambda: old not in watched.pool.helper_pids, "the old process has ended")
            assert not psutil.pid_exists(old)

    asyncio.run(scene())


def open_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_descriptors_of_ended_threads_are_closed(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=1, max_jobs_per_process=1) as watched:
            await ready(watched)
            (pid,) = watched.pids()
            counts = []
            for number in range(6):
                await run(own, watched, "number")
                await until(lambda done=number: len(watched.ends) > done, "the thread has ended")
                await ready(watched)
                counts.append(open_descriptors(pid))
            await until(lambda: open_descriptors(pid) <= counts[1] + 1, "what ended threads used is closed")

    asyncio.run(scene())
