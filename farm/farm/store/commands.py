"""RQ's commands to one worker: stop a job, shut down. They come by publish and subscribe, so a lost one stays lost."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import redis
import redis.asyncio

SUBSCRIBE_SECONDS = 2.0


async def commands(
    client: redis.asyncio.Redis, channel: str, on_listening: Callable[[], None] = lambda: None
) -> AsyncIterator[dict[str, Any]]:
    """Each command as RQ sends it: `{"command": "stop-job", "job_id": ...}`. What is no JSON object is skipped.

    `on_listening` is called when no command is missed any more. Raises redis-py's errors; a server that is silent even
    when asked counts as lost.
    """
    async with client.pubsub(ignore_subscribe_messages=True) as subscription:
        await subscription.subscribe(channel)
        on_listening()
        asked = False
        while True:
            message = await subscription.get_message(timeout=SUBSCRIBE_SECONDS)
            if message is None:
                if asked:
                    raise redis.TimeoutError(f"the subscription to {channel} is silent")
                await subscription.ping()
                asked = True
                continue
            asked = False
            try:
                command = json.loads(message["data"])
            except (ValueError, TypeError):
                continue
            if isinstance(command, dict):
                yield command
