"""Jobs that more jobs wait for than one page holds: none of those is forgotten, however short the job is kept."""

from functools import partial

import pytest
import redis
import redis.asyncio
from rq import Queue
from rq.job import Dependency, Job

from farm.ending import Ending
from farm.store.upkeep import UpkeepStore
from tests.store.test_execution import KEYS, RQ_KEYS, Bench, failed, finished, run
from tests.support.coordinated import call, lead, leader

pytestmark = pytest.mark.every_engine

MANY = 400


def end_parent(url: str, client: redis.Redis, ending: str, ttl: int) -> Job:
    queue = Queue("parents", connection=client)
    parent = queue.enqueue("time.time", result_ttl=ttl)
    dependency = Dependency(parent, allow_failure=True)
    for _ in range(MANY):
        Queue("default", connection=client).enqueue("time.time", depends_on=dependency)

    async def body(bench: Bench) -> None:
        bench.place(parent)
        token = (await bench.start()).started[0].token
        record: Ending = finished(parent, token, ttl=ttl) if ending == "finished" else failed(parent, token, ttl=ttl)
        assert await bench.finish(record) == [ending]

    run(url, client, body)
    return parent


def release_all(url: str, client: redis.Redis) -> None:
    lead(client)
    cursor = "0"
    for member in client.zrange(KEYS.dependents, 0, -1):
        for _ in range(MANY):
            cursor, _ = call(url, partial(release_page, member.decode(), cursor))
            if cursor == "0":
                break


async def release_page(member: str, cursor: str, client: redis.asyncio.Redis) -> tuple[str, int]:
    return await UpkeepStore(client, KEYS, RQ_KEYS).release_dependents(leader(client), member, cursor)


@pytest.mark.parametrize(
    ("ending", "ttl"),
    [
        ("finished", 0),
        ("failed", 30),
        pytest.param("finished", 30, marks=pytest.mark.slow),
        pytest.param("finished", -1, marks=pytest.mark.slow),
        pytest.param("failed", 0, marks=pytest.mark.slow),
        pytest.param("failed", -1, marks=pytest.mark.slow),
    ],
)
def test_those_left_do_not_expire_before_they_are_released(
    redis_url: str, redis_client: redis.Redis, ending: str, ttl: int
) -> None:
    parent = end_parent(redis_url, redis_client, ending, ttl)
    key = f"{parent.key}:dependents"
    assert 0 < redis_client.scard(key) < MANY
    assert redis_client.ttl(key) == -1

    release_all(redis_url, redis_client)

    assert redis_client.llen(RQ_KEYS.queue("default")) == MANY
    assert redis_client.exists(key, KEYS.dependents) == 0


def test_what_stays_ends_with_its_parent(redis_url: str, redis_client: redis.Redis) -> None:
    parent = end_parent(redis_url, redis_client, "finished", 30)
    canceled = Job.fetch(redis_client.srandmember(f"{parent.key}:dependents").decode(), connection=redis_client)
    canceled.cancel()
    redis_client.sadd(f"{parent.key}:dependents", canceled.id)

    release_all(redis_url, redis_client)

    assert redis_client.smembers(f"{parent.key}:dependents") == {canceled.id.encode()}
    assert 0 < redis_client.ttl(f"{parent.key}:dependents") <= 30


def test_nothing_stays_of_a_parent_that_is_not_kept(redis_url: str, redis_client: redis.Redis) -> None:
    queue = Queue("default", connection=redis_client)
    parent, other = queue.enqueue("time.time"), queue.enqueue("time.time")
    waiting = queue.enqueue("time.time", depends_on=[parent, other])

    async def body(bench: Bench) -> None:
        bench.place(parent)
        token = (await bench.start()).started[0].token
        await bench.finish(finished(parent, token, ttl=0))
        assert redis_client.exists(parent.key, f"{parent.key}:dependents") == 0
        bench.place(other)
        await bench.finish(finished(other, (await bench.start()).started[0].token))
        assert queue.get_job_ids() == [waiting.id]

    run(redis_url, redis_client, body)
