"""PROCESS_MODE=fresh: each job has a process of its own, forked in time."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest
import redis

from farm_worker.pool.reasons import Phase, Reason
from tests.pool.conftest import Watched, ready, until
from tests.support.own_pool import OwnPool, run

APP = """
@app.preload
def load(process):
    process.userdata["data"] = [str(number) * 3 for number in range(200_000)]

def pause():
    time.sleep(0.02)
    return os.getpid()

def leave_traces():
    import random
    os.environ["TRACE"] = "1"
    os.chdir("/")
    sys.modules["json"].trace = True
    random.seed(1)
    threading.Thread(target=time.sleep, args=(600,)).start()
    os.closerange(0, 256)

def traces():
    return [os.environ.get("TRACE"), os.getcwd(), hasattr(sys.modules["json"], "trace"), threading.active_count()]
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    own = OwnPool(redis_client, redis_url, tmp_path)
    own.write(APP)
    return own


def pool(own: OwnPool, slots: int = 2, **settings: object) -> Watched:
    return own.pool(slots=slots, process_mode="fresh", **settings)


def test_each_job_has_a_process_of_its_own_and_its_end_is_normal(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own) as watched:
            pids = {await run(own, watched, "pause") for _ in range(6)}
            await until(lambda: len(watched.ends) == 6, "the six processes have ended")

            assert len(pids) == 6
            for end, begun, unbegun in watched.ends:
                assert (end.reason, end.phase, end.exit_code, begun, unbegun) == (
                    Reason.RECYCLED, Phase.CLOSING, 0, None, [],
                )  # fmt: skip
                assert not end.abnormal
            assert not [pid for pid in pids if psutil.pid_exists(pid)]

    asyncio.run(scene())


def test_a_job_sees_nothing_of_the_one_before(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=1) as watched:
            before = await run(own, watched, "traces")
            await run(own, watched, "leave_traces")
            await until(lambda: len(watched.outcomes) == 2, "it has ended")
            assert await run(own, watched, "traces") == before

    asyncio.run(scene())


def test_a_successor_is_warm_while_a_job_runs(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=2, idle=2) as watched:
            await ready(watched, 2)
            for _ in range(2):
                watched.pool.dispatch(own.job("pause"), depth=1)
            assert watched.pool.capable == 2
            assert watched.pool.room(1) == 0, "no more jobs than slots"
            await until(lambda: watched.pool.ready == 2 or len(watched.outcomes) == 2, "successors are warm")
            await until(lambda: len(watched.outcomes) == 2, "both are done")

    asyncio.run(scene())


def test_the_pool_keeps_up_with_short_jobs(own: OwnPool) -> None:
    """It must not take the time of an import for each; how fast it is, the benchmark measures."""

    async def scene() -> None:
        async with pool(own) as watched:
            await ready(watched, 2)
            jobs = [own.job("pause") for _ in range(30)]
            begun = asyncio.get_running_loop().time()
            while jobs:
                if watched.pool.room(1):
                    assert watched.pool.dispatch(jobs.pop(), depth=1)
                else:
                    watched.pool.want(len(jobs))
                    await asyncio.sleep(0.001)
                assert watched.pool.busy <= 2
            await until(lambda: len(watched.outcomes) == 30, "all are done")
            assert asyncio.get_running_loop().time() - begun < 10

    asyncio.run(scene())


def test_processes_share_their_memory(own: OwnPool) -> None:
    async def scene() -> None:
        async with pool(own, slots=8) as watched:
            await ready(watched, 8)
            alone = psutil.Process(watched.pool.processes[0].pid).memory_full_info().rss
            pids = [*watched.pool.helper_pids, *watched.pids()]
            together = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)

            assert together < 2.5 * alone

    asyncio.run(scene())


def test_where_forking_is_not_safe_no_spare_processes_are_kept(own: OwnPool) -> None:
    own.write(APP + "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n")

    async def scene() -> None:
        async with pool(own, slots=2, idle=1) as watched:
            pids = {await run(own, watched, "pause") for _ in range(2)}
            assert len(pids) == 2
            assert len(watched.pool.processes) <= 2
            assert os.getpid() not in pids

    asyncio.run(scene())
