"""The stream of rare events, written by what has no script of its own."""

from collections.abc import Mapping

import redis.asyncio

from farm.keys import Keys
from farm.records import iso_now
from farm.store.scripts import AsyncScripts


async def announce(
    client: redis.asyncio.Redis, keys: Keys, event: str, fields: Mapping[str, str | int | float]
) -> None:
    """Adds one entry: `event`, `at` (ISO 8601 UTC; now, if `fields` does not say it) and `fields`.

    A full Redis takes it, too.
    """
    words = [part for name, value in fields.items() if name != "at" for part in (name, value)]
    await AsyncScripts(client).run("event", [keys.events], [fields.get("at") or iso_now(), event, *words])
