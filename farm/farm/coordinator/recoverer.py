"""The duty that gives up silent hosts, and gives back what they held."""

import asyncio
import logging
from collections.abc import Sequence

from farm.coordinator.freeze import Freeze, boot_clock
from farm.store.leadership import REDIS_TROUBLE, LeaderScripts, LeadershipStore
from farm.store.recovery import Recovered, RecoveryStore, SilentHost

LOG = logging.getLogger(__name__)

PAGES_AT_ONCE = 50
"""Of one lost host, before the others get their turn."""


class Recoverer:
    """First fences, then recovers: nothing is taken from a host that could still write."""

    interval = 1.0

    def __init__(
        self,
        store: RecoveryStore,
        leadership: LeadershipStore,
        freeze: Freeze,
        host_timeout: float,
        max_host_losses: int,
    ) -> None:
        self._store = store
        self._leadership = leadership
        self._freeze = freeze
        self._host_timeout = host_timeout
        self._max_host_losses = max_host_losses
        self._without_beat_since: dict[SilentHost, float] = {}
        self._recovered: dict[str, int] = {}
        self._failing: set[str] = set()

    async def run_once(self, leader: LeaderScripts) -> None:
        """Fences every silent host, unless that is frozen, and gives back what is lost. Raises NotLeader."""
        life, silent, lost = await asyncio.gather(
            self._leadership.server_life(), self._store.silent_hosts(self._host_timeout), self._store.lost()
        )
        self._freeze.note_server(life)
        if await self._fence_silent_hosts(leader, *silent):
            lost = await self._store.lost()
        for member in lost:
            try:
                await self._recover(leader, member)
            except REDIS_TROUBLE as error:
                if member not in self._failing:  # one host's broken keys must not keep the others waiting
                    self._failing.add(member)
                    LOG.error("jobs of lost host %s cannot be given back: %s", member, error)
            else:
                self._failing.discard(member)

    async def _fence_silent_hosts(
        self, leader: LeaderScripts, silent: Sequence[SilentHost], without_beat: Sequence[SilentHost]
    ) -> bool:
        """Whether any was given up."""
        if self._freeze.frozen:  # asked after the look: Redis may have stood still amid it, and not heard a beat yet
            return False
        is_any_fenced = False
        for host in [*silent, *self._long_without_beat(without_beat)]:
            if await self._store.fence(leader, host, self._host_timeout):
                is_any_fenced = True
                LOG.warning("host %s is lost: no beat for %g s; its jobs are given back", host.name, self._host_timeout)
        return is_any_fenced

    def _long_without_beat(self, hosts: Sequence[SilentHost]) -> list[SilentHost]:
        """Those that have had an identity and no beat at all for HOST_TIMEOUT, as seen from here."""
        now = boot_clock()
        self._without_beat_since = {host: self._without_beat_since.get(host, now) for host in hosts}
        return [host for host, since in self._without_beat_since.items() if now - since >= self._host_timeout]

    async def _recover(self, leader: LeaderScripts, member: str) -> None:
        for _ in range(PAGES_AT_ONCE):
            so_far = self._recovered.get(member, 0)
            page = await self._store.recover(leader, member, self._max_host_losses, so_far)
            self._recovered[member] = so_far + page.given_back + page.failed
            if page.left == 0:
                self._tell(member, self._recovered.pop(member), page)
                return

    def _tell(self, member: str, recovered: int, last: Recovered) -> None:
        if recovered or last.dropped or last.quarantined:
            LOG.warning(
                "lost host %s: %d jobs recovered; in the last page %d failed, %d dropped, %d quarantined",
                member,
                recovered,
                last.failed,
                last.dropped,
                last.quarantined,
            )
