"""AsyncClient in an event loop: nothing blocks it, many wait at once, a canceled wait leaves the job alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import redis
from fastapi import FastAPI

from farm.client import AsyncClient, Call, InvalidCall
from farm.client.async_client import THREADS
from farm.client.jobs import BLOCKED_READS
from farm.errors import JobFailed, JobNotFound, RedisUnavailable, ResultTimeout
from tests.client import sample_jobs
from tests.client.running import a_worker_beside, run_all
from tests.support.waiting import wait_until

REQUESTS = 100


def _service(redis_url: str) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncClient(redis_url) as client:
            app.state.farm = client
            yield

    app = FastAPI(lifespan=lifespan)

    @app.post("/add/{number}")
    async def add(number: int) -> int:
        job = await app.state.farm.queue("web", timeout=30).enqueue(sample_jobs.add, number, other=10)
        return int(await job.result(timeout=40))

    return app


def test_a_hundred_requests_at_once_each_get_their_result(
    redis_url: str, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> list[int]:
        asyncio.get_running_loop().slow_callback_duration = 2
        app = _service(redis_url)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", timeout=50) as web,
        ):
            answers = await asyncio.gather(*(web.post(f"/add/{number}") for number in range(REQUESTS)))
            return [answer.json() for answer in answers]

    with a_worker_beside(redis_client, "web"):
        results = asyncio.run(ask(), debug=True)

    assert results == [number + 10 for number in range(REQUESTS)]
    assert not [one for one in caplog.records if one.name == "asyncio" and " took " in one.getMessage()], "it blocks"
    assert int(redis_client.info("clients")["connected_clients"]) < BLOCKED_READS + THREADS + 10


def test_every_method_of_the_synchronous_client_can_be_awaited(redis_url: str, redis_client: redis.Redis) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            jobs = await client.queue("calls", on_lost="fail").enqueue_many(
                [Call(sample_jobs.add, (1,)), ("shop.bill", (7,), {})]
            )
            status = await jobs[1].status()
            assert (status.queue, status.position, status.on_lost) == ("calls", 1, "fail")
            assert await jobs[1].progress() is None
            assert await jobs[1].cancel(grace=1.0) == "canceled"
            await asyncio.to_thread(run_all, redis_client, "calls")
            assert await jobs[0].result(timeout=5) == 2
            assert await client.job(jobs[0].id).result() == 2
            await jobs[0].delete()
            with pytest.raises(JobNotFound):
                await jobs[0].status()

    asyncio.run(body())


def test_what_went_wrong_is_raised_where_it_is_awaited(redis_url: str, redis_client: redis.Redis) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            with pytest.raises(InvalidCall):
                await client.queue().enqueue(lambda: 1)
            job = await client.queue(failure_ttl=60).enqueue(sample_jobs.fail, "no money")
            with pytest.raises(ResultTimeout):
                await job.result(timeout=0.1)
            await asyncio.to_thread(run_all, redis_client)
            with pytest.raises(JobFailed, match="no money"):
                await job.result()

    asyncio.run(body())


def test_a_result_of_an_earlier_job_and_a_long_one_are_what_they_are(redis_url: str, redis_client: redis.Redis) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            queue = client.queue(job_id="nightly")
            for number in range(2):
                job = await queue.enqueue(sample_jobs.add, number)
                with pytest.raises(ResultTimeout):
                    await job.result(timeout=0.1)
                await asyncio.to_thread(run_all, redis_client)
                assert await job.result(timeout=5) == number + 1
            long = await client.queue().enqueue(sample_jobs.give_back, "x" * 100_000)
            await asyncio.to_thread(run_all, redis_client)
            assert await long.result(timeout=5) == (("x" * 100_000,), {})

    asyncio.run(body())


def test_a_canceled_wait_leaves_the_job_and_the_client_usable(redis_url: str, redis_client: redis.Redis) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            job = await client.queue().enqueue(sample_jobs.add, 1)
            for moment in range(20):  # a cancel may come at any point of a read
                waits = [asyncio.create_task(job.result()) for _ in range(BLOCKED_READS + 5)]
                await asyncio.sleep(moment * 0.01)
                for wait in waits:
                    wait.cancel()
                _, going_on = await asyncio.wait(waits, timeout=10)
                assert not going_on
                assert all(wait.cancelled() for wait in waits)
            await asyncio.to_thread(run_all, redis_client)
            assert await job.result(timeout=5) == 2

    asyncio.run(body())


def test_a_wait_whose_connection_is_lost_says_so_and_the_next_one_has_another(
    redis_url: str, redis_client: redis.Redis
) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            job = await client.queue().enqueue(sample_jobs.add, 1)
            wait = asyncio.create_task(job.result())
            await asyncio.to_thread(wait_until, lambda: _blocked(redis_client) == 1, "it waits")
            redis_client.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(RedisUnavailable, match="does not answer"):
                await asyncio.wait_for(wait, 20)

            await asyncio.to_thread(run_all, redis_client)
            assert await job.result(timeout=5) == 2

    asyncio.run(body())


def _blocked(redis_client: redis.Redis) -> int:
    return int(redis_client.info("clients")["blocked_clients"])


def test_many_more_waiters_than_connections_are_all_served(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    async def body() -> None:
        async with AsyncClient(redis_url) as client:
            job = await client.queue().enqueue(sample_jobs.wait_for, str(tmp_path / "go"))
            waits = [asyncio.create_task(job.result(timeout=40)) for _ in range(BLOCKED_READS * 6)]
            await asyncio.sleep(0.5)
            (tmp_path / "go").touch()
            assert set(await asyncio.gather(*waits)) == {"seen"}

    with a_worker_beside(redis_client):
        asyncio.run(body())
    assert int(redis_client.info("clients")["connected_clients"]) < BLOCKED_READS + THREADS + 10


def test_a_connection_of_ones_own_serves_too(redis_client: redis.Redis) -> None:
    async def body() -> None:
        async with AsyncClient(connection=redis_client) as client:
            job = await client.queue().enqueue(sample_jobs.add, 1)
            assert await job.result(timeout=20) == 2

    with a_worker_beside(redis_client):
        asyncio.run(body())
