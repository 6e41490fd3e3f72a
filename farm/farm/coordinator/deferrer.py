"""The duty that keeps the marks of deferred queues true."""

import logging
import time

from farm.coordinator.aside_recorder import AsideRecorder
from farm.coordinator.deferral import NO_HOST, describe_hosts, is_deferred, why_nothing_can_be_placed
from farm.coordinator.placer import Placer
from farm.store.deferral import DeferralStore
from farm.store.leadership import LeaderScripts
from farm.store.survey import HostView, Survey

LOG = logging.getLogger(__name__)


class Deferrer:
    """Marks queues from which nothing can be placed, and takes the marks away."""

    interval = 1.0

    def __init__(
        self,
        store: DeferralStore,
        placer: Placer,
        aside: AsideRecorder,
        suspect_after: float,
        max_deferral: float | None,
        max_deferral_action: str,
    ) -> None:
        self._store = store
        self._aside = aside
        self._placer = placer
        self._suspect_after = suspect_after
        self._max_deferral = max_deferral
        self._max_deferral_action = max_deferral_action
        self._deferred: set[str] | None = None
        self._blocked_since: dict[str, float] = {}
        self._exceeded: set[str] = set()

    async def run_once(self, leader: LeaderScripts) -> None:
        """Looks at every queue once. Raises NotLeader and redis-py's errors."""
        survey = await self._placer.next_look()
        if self._deferred is None:  # what the leader before had marked
            self._deferred = await self._store.deferred_queues(list(survey.waiting))
        for queue in sorted(self._deferred | survey.waiting.keys()):
            live = [host for host in survey.live_hosts(self._suspect_after) if queue in host.queues]
            reason = await self._why_nothing_can_be_placed(queue, survey, live)
            if reason is None:
                await self._allow(leader, queue, survey.waiting.get(queue, 0))
                if self._max_deferral is not None and self._placer.dealing.fronts.aside(queue):
                    await self._limit(leader, queue, survey.now, self._max_deferral)
            else:
                await self._block(leader, queue, reason, live, survey.now)

    async def _why_nothing_can_be_placed(self, queue: str, survey: Survey, live: list[HostView]) -> str | None:
        waiting = survey.waiting.get(queue, 0)
        reason = why_nothing_can_be_placed(waiting, live, served_elsewhere=False)
        if reason == NO_HOST and await self._store.served_elsewhere(queue, {host.name for host in survey.hosts}):
            return None
        return reason

    async def _block(self, leader: LeaderScripts, queue: str, reason: str, live: list[HostView], now: float) -> None:
        assert self._deferred is not None
        blocked_since = self._blocked_since.setdefault(queue, time.monotonic())
        blocked_for = time.monotonic() - blocked_since
        if not is_deferred(queue in self._deferred, blocked_for, self._placer.placed_ago(queue)):
            return
        progress = await self._store.defer(leader, queue, reason, describe_hosts(live))
        if progress.length == 0:
            return
        self._deferred.add(queue)
        if progress.began:
            LOG.warning("queue %s is deferred: %s; jobs that wait: %d", queue, reason, progress.length)
        if self._max_deferral is not None:
            await self._limit(leader, queue, now, self._max_deferral)

    async def _allow(self, leader: LeaderScripts, queue: str, waiting: int) -> None:
        assert self._deferred is not None
        self._blocked_since.pop(queue, None)
        if queue not in self._deferred:
            return
        if await self._store.undefer(leader, queue, "a host takes jobs again" if waiting > 0 else "nothing waits"):
            self._aside.index_anew(queue)
            LOG.info("queue %s is not deferred any more; jobs that wait: %d", queue, max(waiting, 0))
        self._deferred.discard(queue)
        self._exceeded.discard(queue)

    async def _limit(self, leader: LeaderScripts, queue: str, now: float, max_deferral: float) -> None:
        """What MAX_DEFERRAL asks for: one event per deferral, and with `fail` the end of jobs deferred for too long."""
        longest = await self._store.longest_wait(queue, now)
        if longest <= max_deferral:
            return
        if queue not in self._exceeded:
            self._exceeded.add(queue)
            await self._store.announce_exceeded(queue, longest, max_deferral)
            LOG.warning("jobs of queue %s are deferred for more than %g s", queue, max_deferral)
        if self._max_deferral_action == "fail" and (failed := await self._store.fail(leader, queue, max_deferral)):
            LOG.warning("jobs of queue %s failed, deferred for more than %g s: %d", queue, max_deferral, failed)
