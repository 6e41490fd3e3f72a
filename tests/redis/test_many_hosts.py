"""Fifty hosts that start, or meet a server without their scripts, at one moment: no storm, and none is left out."""

import asyncio
import time
from typing import Any

import redis

from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.hosts import HostStore, Registration
from farm_worker.contact import Contact

KEYS, RQ_KEYS = Keys(), RqKeys()
HOSTS = 50


def calls(client: redis.Redis, command: str) -> int:
    stats: dict[str, Any] = client.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {}).get("calls", 0))


def test_fifty_hosts_register_and_beat_at_once(redis_url: str, redis_client: redis.Redis) -> None:
    redis_client.config_resetstat()
    record = {"load": 0.1, "capacity": 1}

    async def scenario() -> None:
        clients = [connect_async(redis_url) for _ in range(HOSTS)]
        stores = [HostStore(client, KEYS, RQ_KEYS, host_timeout=10.0) for client in clients]
        names = [f"host-{number}" for number in range(HOSTS)]
        who = await asyncio.gather(*(store.register(name) for store, name in zip(stores, names, strict=True)))
        assert all(isinstance(one, Registration) for one in who)

        async def beat() -> None:
            beats = (store.beat(one, record, "idle", False) for store, one in zip(stores, who, strict=True))  # type: ignore[arg-type]
            await asyncio.gather(*beats)

        await beat()
        redis_client.script_flush()
        redis_client.client_kill_filter(_type="normal", skipme=True)
        began = time.monotonic()
        await asyncio.gather(*(store.drop_connections() for store in stores))
        await beat()
        assert time.monotonic() - began < 5
        await asyncio.gather(*(client.aclose() for client in clients))

    asyncio.run(scenario())

    assert redis_client.zcard(KEYS.hosts) == redis_client.hlen(KEYS.identities) == HOSTS
    assert calls(redis_client, "script|load") <= 3 * HOSTS, "each host sends each script once at most"


def test_hosts_that_look_for_redis_do_not_do_it_in_step() -> None:
    async def pause(contact: Contact) -> float:
        began = time.monotonic()
        await contact.pause()
        return time.monotonic() - began

    async def scenario() -> list[float]:
        contacts = [Contact() for _ in range(HOSTS)]
        for contact in contacts:
            for _ in range(10):
                contact.lose_again(redis.ConnectionError("away"))
        return list(await asyncio.gather(*map(pause, contacts)))

    pauses = asyncio.run(scenario())
    assert max(pauses) < 3
    assert max(pauses) - min(pauses) > 0.2
