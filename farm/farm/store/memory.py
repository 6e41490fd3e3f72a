"""How much memory Redis has left for jobs."""

from dataclasses import dataclass
from typing import Any

import redis
import redis.asyncio


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """Bytes; `limit` is 0 where there is none, or where it is not to be known."""

    used: int
    limit: int

    @property
    def share(self) -> float:
        """Of the limit, 0 without one."""
        return self.used / self.limit if self.limit else 0.0


async def memory_use(client: redis.asyncio.Redis) -> MemoryUse:
    """What the server says. A server that evicts keys has no limit in this sense: it refuses nothing."""
    try:
        information: dict[str, Any] = await client.info("memory")
    except redis.ResponseError:  # INFO may be forbidden
        return MemoryUse(0, 0)
    refuses = information.get("maxmemory_policy", "noeviction") == "noeviction"
    return MemoryUse(int(information.get("used_memory", 0)), int(information.get("maxmemory", 0)) if refuses else 0)
