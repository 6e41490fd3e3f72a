"""The duty that mends what nobody answers for any more.

Two passes go on in the background, a page in each turn, and leave Redis alone in between: a short one over the queues'
registries, and a long one over all jobs. Both begin with the lead, with each new life of Redis, and a minute after they
last began, or later if they take longer. Where they are, is known in memory alone.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

from farm.coordinator.freeze import Freeze, boot_clock
from farm.coordinator.placer import Placer
from farm.coordinator.reconciliation import Suspicion, pause_after
from farm.store.leadership import LeaderScripts
from farm.store.reconcile import MENDED_AT_ONCE, QUEUES_AT_ONCE, Kind, Leftover, LeftoverReader, MendingStore

LOG = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0
"""From the beginning of one pass to the beginning of the next of its kind, unless it takes longer."""

REST_SECONDS = 1.0


class Reconciler:
    """Looks at everything once a minute at most, and mends what is left over."""

    def __init__(
        self,
        reader: LeftoverReader,
        store: MendingStore,
        freeze: Freeze,
        placer: Placer,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        self.interval = REST_SECONDS
        self._reader = reader
        self._store = store
        self._freeze = freeze
        self._placer = placer
        self._clock = clock
        self._suspicion = Suspicion(clock)
        self._run_id: str | None = None
        self._begun_at = {"queues": float("-inf"), "jobs": float("-inf")}
        self._queues: list[str] = []
        """Still to be looked at in this pass."""
        self._cursor: int | None = None
        """Of the next page of jobs; None while there is no pass."""

    async def run_once(self, leader: LeaderScripts) -> None:
        """One page, and what is due for its second look. Raises NotLeader, and redis-py's errors."""
        self.interval = REST_SECONDS
        if self._freeze.frozen or self._freeze.run_id is None:  # hosts renew first, and what they hold is theirs
            return
        self._begin_what_is_due()
        await self._mend(leader, self._suspicion.take_due())
        if self._queues or self._cursor is not None:
            started = time.monotonic()
            found = await self._look()
            self.interval = pause_after(time.monotonic() - started)
            await self._mend(leader, self._suspicion.note(found))

    def _begin_what_is_due(self) -> None:
        now, new_life = self._clock(), self._run_id != self._freeze.run_id
        if new_life:
            self._run_id = self._freeze.run_id
            self._suspicion.forget_all()
        if new_life or (not self._queues and now - self._begun_at["queues"] >= INTERVAL_SECONDS):
            self._begun_at["queues"] = now
            self._queues = list(self._placer.queues)
        if new_life or (self._cursor is None and now - self._begun_at["jobs"] >= INTERVAL_SECONDS):
            self._begun_at["jobs"] = now
            self._cursor = 0

    async def _look(self) -> list[Leftover]:
        if self._queues:
            queues, self._queues = self._queues[:QUEUES_AT_ONCE], self._queues[QUEUES_AT_ONCE:]
            return await self._reader.look_over_queues(queues)
        page = await self._reader.page(self._cursor or 0)
        found = await self._reader.look_over(page)
        self._cursor = page.cursor or None
        return found

    async def _mend(self, leader: LeaderScripts, leftovers: Iterable[Leftover]) -> None:
        by_kind: dict[Kind, list[Leftover]] = defaultdict(list)
        for leftover in leftovers:
            by_kind[leftover.kind].append(leftover)
        for kind, those in by_kind.items():
            mended = 0
            for start in range(0, len(those), MENDED_AT_ONCE):
                mended += await self._store.mend(leader, kind, those[start : start + MENDED_AT_ONCE])
            if mended:
                LOG.warning("mended what was left over (%s): %d, the first %s", kind, mended, those[0].id)
