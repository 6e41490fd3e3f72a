"""The duty that learns what jobs use: hosts measure it, placement charges for it."""

from collections.abc import Awaitable, Callable, Sequence

from farm.coordinator.costs import Costs
from farm.coordinator.placer import Placer
from farm.store.function_usage import FunctionUsage
from farm.store.leadership import LeaderScripts

MOST_QUEUES = 100
"""Of which the usage is read."""


class CostReader:
    """Brings what is known of the functions of queues to the placer, while there is anything to place."""

    interval = 5.0

    def __init__(self, read: Callable[[Sequence[str]], Awaitable[list[FunctionUsage]]], placer: Placer) -> None:
        self._read = read
        self._placer = placer
        self._placed: int | None = None

    async def run_once(self, leader: LeaderScripts) -> None:  # noqa: ARG002 - it reads, whoever leads
        """Reads, unless nothing was placed since the last time. Raises redis-py's errors."""
        placed = self._placer.dealing.placed
        if placed == self._placed:
            return
        self._placer.dealing.costs = Costs(await self._read(self._placer.queues[:MOST_QUEUES]))
        self._placed = placed
