"""Coroutine jobs that run side by side in one process (ASYNC_CONCURRENCY)."""

import asyncio
from pathlib import Path

import pytest
import redis

from farm_worker.pool.reasons import Reason
from tests.pool.conftest import until
from tests.support.outcomes import value
from tests.support.own_pool import OwnPool

APP = """
import asyncio
import rq

met = []

async def meet(path, count):
    met.append(rq.get_current_job().id)
    open(f"{path}-{farm.current_job().id}", "w").close()
    while len(set(met)) < count:
        await asyncio.sleep(0.001)
    assert farm.current_job().id == rq.get_current_job().id
    return rq.get_current_job().id

async def hang(path, cleaned=""):
    open(path, "w").close()
    try:
        await asyncio.sleep(60)
    finally:
        if cleaned:
            open(cleaned, "w").close()

async def leave_task():
    asyncio.create_task(asyncio.sleep(60), name="left")
    return "left one"

async def fail():
    await asyncio.sleep(0)
    raise ValueError("on purpose")

async def block(path):
    open(path, "w").close()
    time.sleep(60)

async def die(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.001)
    os._exit(3)

def number():
    return 7
"""


@pytest.fixture
def own(redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
    pool = OwnPool(redis_client, redis_url, tmp_path)
    pool.concurrency = 4
    pool.write(APP)
    return pool


def test_jobs_meet_in_one_process_and_each_sees_itself(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            jobs = [own.job("meet", str(tmp_path / "met"), 4) for _ in range(4)]
            for job in jobs:
                await until(lambda job=job: watched.pool.dispatch(job, depth=1), "there is room")  # type: ignore[misc]
            await until(lambda: len(watched.outcomes) == 4, "all met")
            for job, outcome in watched.outcomes:
                assert value(outcome) == job.job_id.decode()

    asyncio.run(scenario())


def test_a_synchronous_job_comes_back_unbegun_from_where_coroutines_run(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            hanging, number = own.job("hang", str(tmp_path / "a")), own.job("number")
            await until(lambda: watched.pool.dispatch(hanging, depth=1), "a process is ready")
            await until(lambda: watched.pool.dispatch(number, depth=1), "there is room for another")
            await until(lambda: bool(watched.outcomes), "it is back")
            assert [(job, outcome.kind) for job, outcome in watched.outcomes] == [(number, "returned")]
            assert number.apart
            assert not watched.pool.dispatch(number, depth=1), "it never runs beside one"
            assert watched.pool.kill_job(hanging.job_id, Reason.STOPPED)
            await until(lambda: watched.pool.dispatch(number, depth=1), "it has a process to itself")
            await until(lambda: len(watched.outcomes) == 2, "it ran")
            assert value(watched.outcomes[1][1]) == 7

    asyncio.run(scenario())


def test_one_is_stopped_and_those_beside_it_go_on(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            paths = [tmp_path / name for name in "abc"]
            jobs = [own.job("hang", str(path), f"{path}-cleaned") for path in paths]
            for job in jobs:
                await until(lambda job=job: watched.pool.dispatch(job, depth=1), "there is room")  # type: ignore[misc]
            await until(lambda: all(path.exists() for path in paths), "all run")
            assert watched.pool.kill_job(jobs[1].job_id, Reason.STOPPED)
            await until(lambda: bool(watched.outcomes), "it ended")
            assert [(job, outcome.kind) for job, outcome in watched.outcomes] == [(jobs[1], "stopped")]
            assert (tmp_path / "b-cleaned").exists()
            assert not watched.ends
            assert watched.pool.processes[0].running == [jobs[0], jobs[2]]

    asyncio.run(scenario())


def test_a_limit_ends_one_job_alone(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            jobs = [own.job("hang", str(tmp_path / "a")), own.job("hang", str(tmp_path / "b"), timeout=1)]
            for job in jobs:
                await until(lambda job=job: watched.pool.dispatch(job, depth=1), "there is room")  # type: ignore[misc]
            await until(lambda: bool(watched.outcomes), "it ended")
            ended, outcome = watched.outcomes[0]
            assert (ended, outcome.kind) == (jobs[1], "failed")
            assert "JobTimeoutException" in outcome.summary
            assert watched.pool.processes[0].running == [jobs[0]]

    asyncio.run(scenario())


def test_failures_and_left_tasks_concern_one_job(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            hanging = own.job("hang", str(tmp_path / "a"))
            await until(lambda: watched.pool.dispatch(hanging, depth=1), "a process is ready")
            for job in (failing := own.job("fail"), leaving := own.job("leave_task")):
                await until(lambda job=job: watched.pool.dispatch(job, depth=1), "there is room")  # type: ignore[misc]
            await until(lambda: len(watched.outcomes) == 2, "both ended")
            kinds = {job.job_id: outcome.kind for job, outcome in watched.outcomes}
            assert kinds == {failing.job_id: "failed", leaving.job_id: "finished"}
            assert watched.pool.processes[0].running == [hanging]

    asyncio.run(scenario())


def test_a_process_that_dies_gives_back_exactly_what_had_not_ended(own: OwnPool, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with own.pool(async_concurrency=4) as watched:
            go = tmp_path / "go"
            ended, dying, hanging = own.job("leave_task"), own.job("die", str(go)), own.job("hang", str(tmp_path / "a"))
            for job in (dying, hanging, ended):
                await until(lambda job=job: watched.pool.dispatch(job, depth=1), "there is room")  # type: ignore[misc]
            await until(lambda: bool(watched.outcomes) and (tmp_path / "a").exists(), "one ended, the others run")
            go.touch()
            await until(lambda: bool(watched.ends), "it died")
            end, begun, unbegun = watched.ends[0]
            assert end.reason is Reason.EXITED
            assert [begun, *end.beside] == [dying, hanging]
            assert not unbegun
            assert [job for job, _ in watched.outcomes] == [ended]

    asyncio.run(scenario())
