"""The stream of rare events, written by what has no script of its own."""

from collections.abc import Mapping

import redis.asyncio

from farm.keys import Keys
from farm.records import iso_now

EVENTS_KEPT = 10_000
"""About: Redis trims whole nodes."""


async def announce(
    client: redis.asyncio.Redis, keys: Keys, event: str, fields: Mapping[str, str | int | float]
) -> None:
    """Adds one entry: `event`, `at` (ISO 8601 UTC) and `fields`."""
    entry: dict[str, str | int | float] = {"event": event, "at": iso_now(), **fields}
    await client.xadd(keys.events, entry, maxlen=EVENTS_KEPT, approximate=True)  # type: ignore[arg-type]
