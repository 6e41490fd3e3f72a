"""RQ's commands to one worker: stop a job, shut down. They come by publish and subscribe, so a lost one stays lost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import redis.asyncio

SUBSCRIBE_SECONDS = 2.0


async def commands(client: redis.asyncio.Redis, channel: str) -> AsyncIterator[dict[str, Any]]:
    """Each command as RQ sends it: `{"command": "stop-job", "job_id": ...}`. What is no JSON object is skipped."""
    async with client.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(channel)
        while True:
            message = await subscription.get_message(timeout=SUBSCRIBE_SECONDS)
            if message is None:
                continue
            try:
                command = json.loads(message["data"])
            except (ValueError, TypeError):
                continue
            if isinstance(command, dict):
                yield command
