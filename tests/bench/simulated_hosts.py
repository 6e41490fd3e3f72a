"""Hosts that only beat: a coordinator cannot tell them from others. Run as a program, it says what placement took.

usage: python -m tests.bench.simulated_hosts URL HOSTS SECONDS

A job is pushed now and then. The host in whose inbox it lands is woken by its bell, as a real one is, and takes it out.
Prints a list of milliseconds from the push to that, as JSON.
"""

import asyncio
import json
import random
import sys
import time

from farm.keys import Keys, RqKeys
from farm.store.connection import connect_async
from farm.store.hosts import HostStore, Registration

KEYS, RQ_KEYS = Keys(), RqKeys()
QUEUE = "default"
HOST_TIMEOUT_SECONDS = 10.0
BEAT_SECONDS = 1.0
SLOTS = 4
PAUSES = (0.005, 0.03)
"""Seconds between two jobs."""

WAIT_SECONDS = 10.0
CALLS = 32
"""Calls of Redis at a time, and so connections: a client's pool holds a hundred."""


class Simulation:
    """Some hosts and the one service that enqueues for them."""

    def __init__(self, url: str, hosts: int) -> None:
        self._client = connect_async(url)
        self._names = [f"host-{number:03d}" for number in range(hosts)]
        self._registered: dict[str, Registration] = {}
        self._pushed: dict[bytes, float] = {}
        self._calls = asyncio.Semaphore(CALLS)
        self._over = False
        self.taken: list[float] = []

    async def run(self, seconds: float) -> None:
        """Registers, beats, pushes and takes."""
        async with asyncio.TaskGroup() as group:  # what one of them raises ends all
            for name in self._names:
                group.create_task(self._live(name))
            try:
                while len(self._registered) < len(self._names):
                    await asyncio.sleep(0.05)
                await asyncio.sleep(2 * BEAT_SECONDS)
                group.create_task(self._take())
                await self._push(seconds)
            finally:
                self._over = True  # a cancel may be lost in redis-py before Python 3.12
        await self._client.aclose()

    async def _live(self, name: str) -> None:
        await asyncio.sleep(random.uniform(0, BEAT_SECONDS))
        store = HostStore(self._client, KEYS, RQ_KEYS, HOST_TIMEOUT_SECONDS)
        async with self._calls:
            who = await store.register(name)
        assert isinstance(who, Registration), who
        record = _record(name, who.identity)
        while not self._over:
            began = time.monotonic()
            async with self._calls:
                await store.beat(who, record, "idle", campaigns=False)
            self._registered[name] = who
            await asyncio.sleep(max(0.0, began + BEAT_SECONDS - time.monotonic()))

    async def _push(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        number = 0
        while time.monotonic() < deadline:
            number += 1
            job_id = f"job-{number}".encode()
            fields = {"status": "queued", "origin": QUEUE, "data": b"x"}
            async with self._client.pipeline(transaction=True) as pipeline:
                pipeline.sadd(RQ_KEYS.queues, RQ_KEYS.queue(QUEUE))
                pipeline.hset(RQ_KEYS.job(job_id.decode()), mapping=fields)
                pipeline.rpush(RQ_KEYS.queue(QUEUE), job_id)
                self._pushed[job_id] = time.monotonic()
                await pipeline.execute()
            await asyncio.sleep(random.uniform(*PAUSES))
        deadline = time.monotonic() + WAIT_SECONDS
        while self._pushed and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        assert not self._pushed, f"{len(self._pushed)} jobs were not placed"

    async def _take(self) -> None:
        by_bell = {KEYS.host_bell(name).encode(): name for name in self._names}
        while not self._over:
            rung = await self._client.blpop(list(by_bell), timeout=1)
            now = time.monotonic()
            if rung is None:
                continue
            who = self._registered[by_bell[rung[0]]]
            for job_id in await self._client.lpop(KEYS.inbox(who.host, who.identity), SLOTS) or ():
                self.taken.append(1000 * (now - self._pushed.pop(job_id)))
                await self._client.delete(RQ_KEYS.job(job_id.decode()))


def _record(name: str, identity: str) -> dict[str, str | int | float]:
    return {
        "state": "available",
        "reason": "",
        "load": round(random.uniform(0.1, 0.6), 3),
        "threshold": 0.75,
        "slots": SLOTS,
        "busy": 0,
        "idle": SLOTS,
        "assigned": 0,
        "capacity": SLOTS,
        "prefetch": 0,
        "queues": QUEUE,
        "boot_id": name,
        "identity": identity,
    }


def main() -> None:
    url, hosts, seconds = sys.argv[1:]
    simulation = Simulation(url, int(hosts))
    asyncio.run(simulation.run(float(seconds)))
    print(json.dumps(simulation.taken))


if __name__ == "__main__":
    main()
