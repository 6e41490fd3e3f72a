"""The coordinator's life: wait for the lead, lead, give it up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from farm.coordinator.aside_recorder import AsideRecorder
from farm.coordinator.cost_reader import CostReader
from farm.coordinator.deferrer import Deferrer
from farm.coordinator.freeze import Freeze
from farm.coordinator.leadership import CAMPAIGN_INTERVAL_SECONDS, Leadership
from farm.coordinator.memory_watch import MemoryWatch
from farm.coordinator.placer import Placer
from farm.coordinator.pulse import sleep_to_pulse
from farm.coordinator.reconciler import Reconciler
from farm.coordinator.recoverer import Recoverer
from farm.coordinator.trouble import Trouble
from farm.coordinator.upkeep import Upkeep
from farm.coordinator.waking import Waking
from farm.keys import Keys, RqKeys
from farm.service_manager import Report
from farm.store.aside import AsideStore
from farm.store.connection import connect_async, drop_idle_connections
from farm.store.deferral import DeferralStore
from farm.store.events import announce
from farm.store.function_usage import read_usage_async
from farm.store.leadership import REDIS_TROUBLE, LeaderScripts, LeadershipStore, NotLeader, Standing
from farm.store.line import Line
from farm.store.memory import memory_use
from farm.store.placement import PlacementStore
from farm.store.reconcile import LeftoverReader, MendingStore
from farm.store.recovery import RecoveryStore
from farm.store.upkeep import UpkeepStore
from farm.store.waking import WakeUps
from farm.tasks import end
from farm_settings.admission import AdmissionSettings
from farm_settings.farm import LeaseSettings

LOG = logging.getLogger(__name__)

RESIGN_TIMEOUT_SECONDS = 1.0


class Duty(Protocol):
    """Something the leader does again and again."""

    interval: float

    async def run_once(self, leader: LeaderScripts) -> None:
        """Does it once. Raises NotLeader, and redis-py's errors when Redis is away."""


class Coordinator:
    """One coordinator. Many may run; `run` acts only while this one leads."""

    def __init__(
        self,
        url: str,
        keys: Keys,
        rq_keys: RqKeys,
        lease: LeaseSettings,
        admission: AdmissionSettings,
        name: str,
    ) -> None:
        self._client = client = connect_async(url, name=f"farm-coordinator-{name}")
        self._line = Line(client, gathers=True)
        """For all that is asked each second, whoever asks."""
        self._keys = keys
        self._rq_keys = rq_keys
        self._lease = lease
        self._admission = admission
        self._name = name
        self._trouble = Trouble(lambda: drop_idle_connections(client))
        self._stopping = asyncio.Event()
        self._standing: Standing | None = None
        self._leadership_store = LeadershipStore(client, keys, rq_keys, self._line)
        self._freeze = Freeze(lease.host_timeout, lease.suspect_after)
        self._leadership = Leadership(self._leadership_store, name, lease.leader_ttl, self._freeze)
        self._placer = Placer(PlacementStore(client, keys, rq_keys, self._line), lease.suspect_after)

    def stop(self) -> None:
        """Makes `run` return soon. May be called from a signal handler of the loop."""
        self._stopping.set()

    def report(self) -> Report:
        """For the service manager that started this coordinator: ready once Redis said who leads."""
        standing = self._standing
        status = "asks for the lead"
        if standing is not None:
            status = f"{self._name} leads" if standing.leads else "stands by, another coordinator leads"
        return Report(status, ready=standing is not None, stopping=self._stopping.is_set())

    async def run(self, give_up_to_others: bool = False) -> None:
        """Waits for the lead and leads, until `stop`. With `give_up_to_others` it returns as soon as another leads."""
        try:
            while not self._stopping.is_set():
                standing = await self._campaign()
                if standing is not None and standing.leads:
                    await self._lead()
                elif standing is not None and give_up_to_others:
                    LOG.info("another coordinator leads; this one ends")
                    return
                await self._pause(CAMPAIGN_INTERVAL_SECONDS)
        finally:
            await self._resign()
            await self._client.aclose()

    async def _campaign(self) -> Standing | None:
        """Asks for the lead. None if Redis did not answer."""
        try:
            standing = await self._leadership.attempt()
        except REDIS_TROUBLE as error:
            await self._until_one_ends([self._trouble.back_off("asking for the lead", error)])
            return None
        self._trouble.end("asking for the lead")
        self._standing = standing
        return standing

    async def _lead(self) -> None:
        """Does all duties until the lead is lost."""
        LOG.info("%s leads (epoch %s)", self._name, self._leadership.value.partition(":")[0])
        leader = LeaderScripts(self._client, self._keys, self._leadership.value, self._line)
        wake_ups = WakeUps(self._client, self._keys, self._rq_keys)
        async with Waking(wake_ups, self._trouble) as waking:
            work = [self._leadership.keep(), self._place(leader, waking)]
            work += [self._repeat(duty, leader) for duty in self._duties()]
            try:
                await self._until_one_ends(work)
            except NotLeader as error:
                LOG.warning("%s", error)

    def _duties(self) -> list[Duty]:
        client, keys, rq_keys, lease = self._client, self._keys, self._rq_keys, self._lease
        aside = AsideRecorder(AsideStore(client, keys), self._placer, lease.suspect_after)
        return [
            aside,
            CostReader(partial(read_usage_async, client, keys), self._placer),
            Deferrer(
                DeferralStore(client, keys, rq_keys),
                self._placer,
                aside,
                lease.suspect_after,
                self._admission.max_deferral,
                self._admission.max_deferral_action,
            ),
            Recoverer(
                RecoveryStore(client, keys, rq_keys, self._line),
                self._leadership_store,
                self._freeze,
                lease.host_timeout,
                lease.max_host_losses,
            ),
            Upkeep(UpkeepStore(client, keys, rq_keys, self._line), self._placer),
            Reconciler(
                LeftoverReader(client, keys, rq_keys),
                MendingStore(keys, rq_keys, lease.max_host_losses, lease.on_lost),
                self._freeze,
                self._placer,
            ),
            UnreadableQueues(self._placer, self._announce_unreadable),
            MemoryWatch(lambda: memory_use(client), lambda event, fields: announce(client, keys, event, fields)),
        ]

    async def _place(self, leader: LeaderScripts, waking: Waking) -> None:
        activity = "placing jobs"
        while True:
            try:
                await self._placer.run(leader, waking, lambda: self._trouble.end(activity))
            except REDIS_TROUBLE as error:
                await self._trouble.back_off(activity, error)

    async def _repeat(self, duty: Duty, leader: LeaderScripts) -> None:
        activity = type(duty).__name__.lower()
        while True:
            try:
                await duty.run_once(leader)
                self._trouble.end(activity)
            except REDIS_TROUBLE as error:
                await self._trouble.back_off(activity, error)
            await sleep_to_pulse(duty.interval)

    async def _announce_unreadable(self, queue: str) -> None:
        await announce(
            self._client, self._keys, "queue.unreadable", {"queue": queue, "key": self._rq_keys.queue(queue)}
        )

    async def _resign(self) -> None:
        try:
            async with asyncio.timeout(RESIGN_TIMEOUT_SECONDS):
                await self._leadership.resign(self._placer.queues)
        except REDIS_TROUBLE:
            LOG.info("Redis is away: the lead ends by itself within %g s", self._lease.leader_ttl)

    async def _pause(self, seconds: float) -> None:
        await self._until_one_ends([asyncio.sleep(seconds)])

    async def _until_one_ends(self, work: Sequence[Coroutine[Any, Any, None]]) -> None:
        """Runs all of `work` until the first of it ends, or until `stop`. Raises what the first raised."""
        tasks = [asyncio.create_task(one) for one in [*work, self._until_stop()]]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await end(tasks)
        for task in done:
            task.result()

    async def _until_stop(self) -> None:
        await self._stopping.wait()


class UnreadableQueues:
    """Tells once of each queue whose key is not a list: its jobs, if it had any, cannot be placed."""

    interval = 1.0

    def __init__(self, placer: Placer, tell: Callable[[str], Awaitable[None]]) -> None:
        self._placer = placer
        self._tell = tell
        self._told: frozenset[str] = frozenset()

    async def run_once(self, leader: LeaderScripts) -> None:  # noqa: ARG002  the same for every duty
        """Tells of those found since the last time."""
        unreadable = self._placer.unreadable
        for queue in sorted(unreadable - self._told):
            LOG.error("the key of queue %s is not a list; nothing can be placed from it", queue)
            await self._tell(queue)
        self._told = unreadable
