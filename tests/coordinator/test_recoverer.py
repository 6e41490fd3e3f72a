"""When silent hosts are given up, and when what was seen of them says nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from farm.coordinator.freeze import Freeze
from farm.coordinator.recoverer import Recoverer
from farm.store.leadership import LeadershipStore, ServerLife
from farm.store.recovery import RecoveryStore, SilentHost

HOST_TIMEOUT = 10.0


class Redis:
    """Answers after a while, and knows one silent host."""

    def __init__(self, seconds: float) -> None:
        self.now = 1000.0
        self.fenced: list[SilentHost] = []
        self._seconds = seconds

    async def server_life(self) -> ServerLife:
        return ServerLife("one", float("inf"))

    async def silent_hosts(self, timeout: float) -> tuple[Sequence[SilentHost], Sequence[SilentHost]]:
        self.now += self._seconds
        return [SilentHost("one", "1-a")], []

    async def fence(self, leader: Any, host: SilentHost, timeout: float) -> bool:
        self.fenced.append(host)
        return True

    async def lost(self) -> list[str]:
        return []


def fenced_after(seconds: float) -> int:
    """How many are given up if the look for them took so long."""
    server = Redis(seconds)
    freeze = Freeze(HOST_TIMEOUT, 1.0, clock=lambda: server.now)
    recoverer = Recoverer(cast(RecoveryStore, server), cast(LeadershipStore, server), freeze, HOST_TIMEOUT, 10)
    freeze.note_contact()
    server.now += 1.0
    asyncio.run(recoverer.run_once(cast(Any, None)))
    return len(server.fenced)


def test_a_silent_host_is_given_up() -> None:
    assert fenced_after(0.001) == 1


def test_hosts_that_look_silent_as_redis_stood_still_amid_the_look_are_not_given_up() -> None:
    assert fenced_after(HOST_TIMEOUT + 1) == 0
