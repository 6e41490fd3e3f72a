"""Being the one coordinator that acts.

    waiting ──key free: new epoch──▶ leading ──key lost, or no renewal for LEADER_TTL──▶ waiting
                                        └──clean stop: the key is deleted──▶ ended

The key in Redis has a TTL of LEADER_TTL and is renewed three times in that. The trust in one's own lead ends
LEADER_TTL after the last renewal was *sent*, by this machine's clock; and should that clock stand still, every script
checks the key.
"""

import asyncio
import secrets
from collections.abc import Iterable

from farm.coordinator.freeze import Freeze, boot_clock
from farm.coordinator.pulse import sleep_to_pulse
from farm.store.leadership import REDIS_TROUBLE, LeadershipStore, NotLeader, Standing

RENEWALS_PER_TTL = 3
CAMPAIGN_INTERVAL_SECONDS = 0.5


class Leadership:
    """Takes the lead, keeps it, gives it up."""

    def __init__(self, store: LeadershipStore, name: str, leader_ttl: float, freeze: Freeze) -> None:
        self._store = store
        self._name = name
        self._leader_ttl = leader_ttl
        self._freeze = freeze
        self._token = secrets.token_hex(8)
        self._value = ""

    @property
    def value(self) -> str:
        """The proof that scripts check. Empty while another leads."""
        return self._value

    async def attempt(self) -> Standing:
        """One attempt to take the lead, or to keep it."""
        standing = await self._store.lead(self._value, self._token, self._name, self._leader_ttl)
        self._freeze.note_contact()
        self._value = standing.value if standing.leads else ""
        return standing

    async def keep(self) -> None:
        """Renews for as long as it goes. Raises NotLeader when the lead is lost."""
        held_until = boot_clock() + self._leader_ttl
        value = self._value
        while True:
            await sleep_to_pulse(self._leader_ttl / RENEWALS_PER_TTL)
            sent_at = boot_clock()
            try:
                async with asyncio.timeout(self._leader_ttl):
                    standing = await self.attempt()
            except REDIS_TROUBLE as error:
                if boot_clock() > held_until:
                    self._value = ""
                    raise NotLeader(f"the lead could not be renewed for {self._leader_ttl:g} s: {error}") from None
                continue
            if standing.value != value:
                raise NotLeader(f"coordinator {standing.leader} leads now, under a new epoch")
            held_until = sent_at + self._leader_ttl

    async def resign(self, scheduled_queues: Iterable[str]) -> None:
        """Gives up the lead, so that another takes over at once."""
        value, self._value = self._value, ""
        if value:
            await self._store.resign(value, scheduled_queues)
