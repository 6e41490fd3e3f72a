"""What a leader knows beyond one look decides as well: promised memory, costs, hosts that recovered."""

from collections import Counter

import redis
import redis.asyncio

from farm.coordinator.cost_reader import CostReader
from farm.coordinator.placer import Placer
from farm.keys import Keys
from farm.store.function_usage import FunctionUsage, read_usage_async
from farm.store.placement import PlacementStore
from tests.support.coordinated import KEYS, RQ_KEYS, call, inbox_ids, lead, leader, plant_host, plant_jobs, queue_ids

MB = 1_000_000


def test_memory_that_was_promised_is_not_promised_again_before_it_is_used(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", memory_left=250 * MB, memory_total=1000 * MB)
    plant_jobs(redis_client, "default", "1", "2", "3", farm_memory_mb=100)

    async def work(client: redis.asyncio.Redis) -> None:
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        for _ in range(3):
            await placer.run_once(leader(client))

    call(redis_url, work)
    assert inbox_ids(redis_client, "a") == ["1", "2"]
    assert queue_ids(redis_client) == ["3"]


def test_jobs_go_where_what_they_used_before_leaves_most(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    for name in ("a", "b"):
        plant_host(redis_client, name, slots=16, capacity=16, cpu_count=4)
    plant_jobs(redis_client, "default", "heavy", description="shop.render(1)")
    plant_jobs(redis_client, "default", *map(str, range(9)), description="shop.note(1)")
    known = [_usage("shop.render", 2.0), _usage("shop.note", 0.01)]

    async def work(client: redis.asyncio.Redis) -> None:
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)

        async def read(_: object) -> list[FunctionUsage]:
            return known

        await CostReader(read, placer).run_once(leader(client))
        await placer.run_once(leader(client))

    call(redis_url, work)
    inboxes = {name: inbox_ids(redis_client, name) for name in ("a", "b")}
    (with_heavy,) = [name for name, ids in inboxes.items() if "heavy" in ids]
    assert Counter({name: len(ids) for name, ids in inboxes.items()})[with_heavy] == 1


def test_a_host_that_just_recovered_is_given_few_jobs_at_first(redis_url: str, redis_client: redis.Redis) -> None:
    lead(redis_client)
    plant_host(redis_client, "a", slots=16, capacity=0, state="full", load=0.9)
    plant_jobs(redis_client, "default", *map(str, range(16)))

    async def work(client: redis.asyncio.Redis) -> None:
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)
        await placer.run_once(leader(client))
        plant_host(redis_client, "a", slots=16, capacity=16, load=0.2)
        await placer.run_once(leader(client))

    call(redis_url, work)
    assert 0 < len(inbox_ids(redis_client, "a")) <= 4


def test_the_costs_that_hosts_wrote_are_read_while_anything_is_placed(
    redis_url: str, redis_client: redis.Redis
) -> None:
    lead(redis_client)
    reads = 0

    async def work(client: redis.asyncio.Redis) -> None:
        nonlocal reads
        placer = Placer(PlacementStore(client, KEYS, RQ_KEYS), 3.0)

        async def read(queues: object) -> list[FunctionUsage]:
            nonlocal reads
            reads += 1
            return await read_usage_async(client, Keys(), list(queues))  # type: ignore[call-overload]

        reader = CostReader(read, placer)
        for _ in range(2):
            await reader.run_once(leader(client))
        plant_host(redis_client, "a")
        plant_jobs(redis_client, "default", "1")
        await placer.run_once(leader(client))
        await reader.run_once(leader(client))

    call(redis_url, work)
    assert reads == 2, "once at the beginning, once after a placement"


def _usage(function: str, cpus: float) -> FunctionUsage:
    return FunctionUsage(
        queue="default",
        function=function,
        jobs=5.0,
        cpus=cpus,
        memory=0,
        memory_high=0,
        wall_seconds=1.0,
        wall_high=1.0,
        wait_seconds=0.0,
        cpu_seconds=cpus,
        cpu_seconds_high=cpus,
        seen_at=0.0,
        user_seconds=cpus,
        system_seconds=0.0,
        children_seconds=0.0,
        counted=5,
    )
