"""Who leads: one coordinator of the farm at a time, by a key that expires.

The value of the key, `<epoch>:<token>:<name>`, is the leader's proof. Every script of a coordinator that writes gets it
and refuses a caller whose value is not the current one; the functions here and beside raise NotLeader then.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import redis
import redis.asyncio

from farm.errors import FarmError
from farm.keys import Keys, RqKeys
from farm.store.line import Line
from farm.store.scripts import Argument, AsyncScripts

EPOCH_FIELD = ":coordinator"
"""No host has this name: host names hold no colon."""

SCHEDULER_TOKEN = "farm"  # noqa: S105  no secret: what RQ's scheduler locks are taken with
"""The same for every coordinator, so that a new leader goes on with the locks of the last one. Only the leader uses it,
which its scripts check."""


REDIS_TROUBLE = (redis.RedisError, OSError, TimeoutError)
"""What a duty may meet while Redis is away, loading, full, or holds a key of a wrong type. The next turn tries anew."""


class NotLeader(FarmError):
    """Another coordinator leads, or nobody does: nothing was written."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an attempt to take or keep the lead went."""

    leads: bool
    value: str
    """The leader's value: one's own if `leads`."""

    @property
    def leader(self) -> str:
        """Name of the leader."""
        return self.value.split(":", 2)[-1]


@dataclass(frozen=True, slots=True)
class ServerLife:
    """What tells one life of the Redis server from the next."""

    run_id: str
    uptime: float
    """Seconds."""


class LeadershipStore:
    """Takes, keeps and gives up the lead."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, rq_keys: RqKeys, line: Line | None = None) -> None:
        self._client = client
        self._line = line or Line(client)
        self._scripts = AsyncScripts(client)
        self._keys = keys
        self._rq_keys = rq_keys

    async def lead(self, own_value: str, token: str, name: str, leader_ttl: float) -> Standing:
        """Takes the lead if it is free, keeps it if `own_value` (empty at first) is current."""
        keys = self._keys
        answer = await AsyncScripts(self._client, self._line).run(
            "lead",
            [keys.coordinator, keys.epochs, keys.events, keys.campaign],
            [own_value, token, name, round(leader_ttl * 1000), EPOCH_FIELD],
        )
        return Standing(bool(answer[0]), answer[1].decode(errors="replace"))

    async def resign(self, own_value: str, scheduled_queues: Iterable[str]) -> None:
        """Gives up the lead and the scheduler locks of these queues. Does nothing for a caller that leads no more."""
        locks = [self._rq_keys.scheduler_lock(queue) for queue in scheduled_queues]
        await self._scripts.run("resign", [self._keys.coordinator, *locks], [own_value, SCHEDULER_TOKEN])

    async def server_life(self) -> ServerLife:
        """The server's run id and uptime. Where INFO is forbidden both are empty: restarts are not noticed then."""
        try:
            text: bytes = await self._line.ask_one("INFO", "server")
        except redis.ResponseError:
            return ServerLife("", float("inf"))
        fields = dict(line.partition(":")[::2] for line in text.decode(errors="replace").splitlines())
        return ServerLife(fields.get("run_id", ""), float(fields.get("uptime_in_seconds", "inf")))


class LeaderScripts:
    """Runs scripts that only the leader may run: first key and first argument are the proof."""

    def __init__(self, client: redis.asyncio.Redis, keys: Keys, value: str, line: Line | None = None) -> None:
        self._scripts = AsyncScripts(client, line or Line(client))
        self._coordinator = keys.coordinator
        self._value = value

    async def run(self, name: str, keys: Iterable[str], arguments: Iterable[Argument]) -> Any:
        """What the script returns. Raises NotLeader if another leads, and redis-py's errors."""
        answer = await self._scripts.run(name, [self._coordinator, *keys], [self._value, *arguments])
        if answer is None:
            _refuse(self._value)
        return answer


def _refuse(value: str) -> NoReturn:
    raise NotLeader(f"coordinator {value.split(':', 2)[-1]} leads no more: another took over, or the key expired")
