"""A farm at work has nothing that the reconciler would mend."""

import asyncio

import pytest
from rq import Retry

from farm.store.connection import connect_async
from farm.store.reconcile import Leftover, LeftoverReader
from tests.support.coordinated import KEYS, RQ_KEYS
from tests.support.farm import Farm

SURE = ("started", "execution")
"""What is mended at the first look. The others may be seen on their way, once."""


async def look_all_the_while(url: str, work: asyncio.Future[None]) -> tuple[list[Leftover], int]:
    """What is mended at once, from as many whole looks as can be taken until `work` is done; and how many were."""
    client = connect_async(url)
    reader, found, looks = LeftoverReader(client, KEYS, RQ_KEYS), [], 0
    try:
        while not work.done():
            found += await reader.look_over_queues(["default", "low"])
            cursor, first = 0, True
            while cursor or first:
                page, first = await reader.page(cursor), False
                found += await reader.look_over(page)
                cursor = page.cursor
            looks += 1
            await asyncio.sleep(0.01)
    finally:
        await client.aclose()
    return [leftover for leftover in found if leftover.kind in SURE], looks


@pytest.mark.slow
def test_whatever_a_farm_and_a_stock_worker_do_is_never_taken_for_left_over(farm: Farm) -> None:
    farm.host("one", processes=2, queues="default,low")
    farm.host("two", queues="low,default")

    def work() -> None:
        for _ in range(4):
            jobs = farm.enqueue_many("double", [(number,) for number in range(300)])
            failing = [farm.enqueue("fail", retry=Retry(max=2), failure_ttl=60) for _ in range(10)]
            chain = farm.enqueue("double", 1, depends_on=jobs[-1])
            farm.stock_worker("default")
            farm.wait_for(*jobs, chain, timeout=60)
            farm.wait_for(*failing, status="failed", timeout=60)

    async def run() -> tuple[list[Leftover], int]:
        task = asyncio.ensure_future(asyncio.to_thread(work))
        result = await look_all_the_while(farm.url, task)
        await task
        return result

    found, looks = asyncio.run(run())
    assert found == []
    assert looks > 10
    assert farm.redis.hgetall(KEYS.mended) == {}
