"""Listens for RQ's commands before there is a host that could obey them: they are published once, and not kept."""

import asyncio
from contextlib import suppress
from typing import Any

from farm.store.commands import commands
from farm.store.connection import REDIS_ERRORS, connect_async

LISTEN_SECONDS = 2.0
"""Nobody waits for longer: Redis is away then, and whoever needs it next says so."""
AGAIN_SECONDS = 1.0


class EarlyCommands:
    """The commands of one channel, in their order, for whoever asks first."""

    def __init__(self, redis_url: str, channel: str) -> None:
        self._redis_url = redis_url
        self._channel = channel
        self._listening = asyncio.Event()
        self._heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def run(self) -> None:
        """Until cancelled; subscribes again when the connection is lost."""
        client = connect_async(self._redis_url, name="farm-host-orders")
        try:
            while True:
                with suppress(*REDIS_ERRORS):
                    async for command in commands(client, self._channel, self._listening.set):
                        self._heard.put_nowait(command)
                await asyncio.sleep(AGAIN_SECONDS)
        finally:
            await client.aclose()

    async def listening(self) -> None:
        """Returns once no command is missed any more."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), LISTEN_SECONDS)

    async def next(self) -> dict[str, Any]:
        """Waits for it."""
        return await self._heard.get()
