"""The host: registers, warms its pool, beats, runs what is placed on it, drains, leaves. Read this file first.

One event loop, one thread. The parts: `tenure` (registration, lease), `heartbeat` (load, admission), `execution` (jobs
in, outcomes out), `pool` (processes), `runners` (objects that jobs share), `hooks` (the user's load function),
`observer` (the user's event handlers), `standby` (a coordinator when nobody leads). The parent never imports job code
and never unpickles.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from farm import logs
from farm.facts import HostFacts
from farm.keys import Keys, RqKeys
from farm.records import iso_now
from farm.service_manager import Report
from farm.store.connection import REDIS_ERRORS, connect_async
from farm.store.execution import ExecutionStore
from farm.store.follow_ups import FollowUpStore
from farm.store.hosts import BeatAnswer, HostStore, OwnQueues, Registration
from farm.tasks import end, raise_error_of
from farm_settings import Settings
from farm_worker import identity
from farm_worker.audit import Audit
from farm_worker.bell import Bell
from farm_worker.desired import Desired
from farm_worker.drain import ENDING_SECONDS, Drain, StopLimit
from farm_worker.embedding import Embedding, PromptObserver
from farm_worker.events import Fields, keep_events, process_fields
from farm_worker.execution import Execution
from farm_worker.facts_board import FactsBoard
from farm_worker.follow_ups import FollowUps
from farm_worker.heartbeat import Heartbeat
from farm_worker.hooks import Hooks, needs_of_queues, on_lost_of_queues
from farm_worker.initialization import first_message
from farm_worker.job_log import JobLog
from farm_worker.job_output import JobOutput
from farm_worker.limits import Limits
from farm_worker.load.cpu import allowed_cpus
from farm_worker.observer import observe
from farm_worker.offering import offer_jobs
from farm_worker.orders import Orders
from farm_worker.outcomes import Outcomes
from farm_worker.pool.orphans import Orphans
from farm_worker.pool.pool import Pool
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import ProcessEnd
from farm_worker.published import HostRecord
from farm_worker.recall import recall
from farm_worker.reservations import Reservations
from farm_worker.runners import Runners
from farm_worker.service_report import HostReport
from farm_worker.settlement import settle_left
from farm_worker.spool import Spool
from farm_worker.standby import StandbyCoordinator
from farm_worker.stopping import Stopping
from farm_worker.tenure import Tenure

CANCEL_PARTS_SECONDS = 2.0
"""For what goes on all the time, to hear that it is over."""
GOODBYE_SECONDS = 5.0
"""Of what is left at the end of a stop: to leave in good order, whatever became of the processes."""

EXPIRY_MARGIN_SECONDS = 2.0
"""Jobs that must not run twice end this long before the host can be given up; half of HOST_TIMEOUT if that is less."""

_logger = logging.getLogger("farm.host")


class Host:
    """One worker host from its start to its clean end."""

    def __init__(  # noqa: PLR0913, PLR0917 - what the entry modules have read and begun, each apart
        self,
        settings: Settings,
        redis_url: str,
        hooks: Hooks | None,
        stopping: Stopping,
        environment: Mapping[str, str],
        coordinator_environment: Mapping[str, str],
        spool_folder: Path | None,
        embedding: Embedding | None = None,
    ) -> None:
        """`embedding`: for a host that runs inside of another program."""
        self.stopping = stopping
        self._report: Callable[[], Report] = lambda: Report("registers", stopping=stopping.requested)
        self._settings = settings
        self._redis_url = redis_url
        self._embedding = embedding or Embedding()
        self._hooks = hooks
        self._environment = environment
        self._keys, self._rq_keys = Keys(settings.redis.prefix), RqKeys(settings.redis.rq_prefix)
        self._client = connect_async(redis_url, name="farm-host")
        self._store = HostStore(self._client, self._keys, self._rq_keys, settings.lease.host_timeout)
        self._standby = StandbyCoordinator(coordinator_environment)
        self._job_log = JobLog(settings.logs.log_jobs)
        self._job_output = JobOutput()
        self._execution_store = ExecutionStore(
            self._client,
            self._keys,
            self._rq_keys,
            max_crashes=settings.lease.max_crashes,
            on_lost=settings.lease.on_lost,
            on_lost_of_queues=on_lost_of_queues(hooks),
            queues=settings.host.queues,
        )
        self._tenure = Tenure(self._store, settings.host.name, self._on_beat)
        self._spool_folder = spool_folder
        self._spool = Spool(spool_folder)
        outcomes = Outcomes(self._spool)
        self._execution = Execution(self._execution_store, outcomes, self._job_log, self._tenure.fenced.set)
        self._reservations = Reservations(redis_url, self._execution_store, self._execution)
        self._events: asyncio.Queue[tuple[str, Fields]] = asyncio.Queue(maxsize=1000)

    @property
    def name(self) -> str:
        """The name it registered under."""
        return self._tenure.name

    @property
    def is_busy(self) -> bool:
        """Whether it runs jobs."""
        return hasattr(self, "pool") and bool(self.pool.busy)

    @property
    def finished_jobs(self) -> int:
        """Attempts that ended here."""
        return self._execution.finished_jobs

    def report(self) -> Report:
        """How it is, for the service manager that started this host, if one did."""
        return self._report()

    async def run(self) -> None:
        """From registration to the clean end. Raises NameInUse and the errors of a Redis that can't be used."""
        await self._register()
        self._board = FactsBoard(HostFacts(self.name, threshold=self._record.threshold, cpu_count=allowed_cpus()))
        self._make_runners()
        self._make_pool(await self._slots())
        self._make_heartbeat()
        tasks = [asyncio.create_task(part) for part in self._parts()]
        limit = None
        try:
            await self._until_stopped(tasks)
            limit = await self._drain()
            raise_error_of(tasks)
        finally:
            await self._end(tasks, limit or StopLimit(ENDING_SECONDS))

    def recycle(self) -> None:
        """Replaces all processes, so that they import the code anew: idle ones now, busy ones after their job."""
        _logger.info("replacing all processes, busy ones after their job")
        self._runners.recycle()
        self.pool.recycle()

    async def _register(self) -> None:
        await settle_left(self._spool_folder, self._execution_store, self._store)
        self._execution.begin(await self._tenure.begin())
        logs.name_source(self.name)
        self._record = HostRecord.of(self._settings, needs_of_queues(self._hooks))

    async def _slots(self) -> int:
        """PROCESSES, or the CPUs that we may use, shared with the other hosts of this machine."""
        if self._settings.pool.processes is not None:
            return self._settings.pool.processes
        others = await self._store.hosts_on(identity.boot_id())
        return max(1, int(allowed_cpus()) // (1 + others))

    def _make_runners(self) -> None:
        self._runners = Runners(
            self._hooks.app.runners if self._hooks else (),
            self._settings,
            self._environment,
            redis_url=self._redis_url,
            host=self.name,
            facts=self._board.path,
            on_end=self._tell_end,
            on_change=self._on_pool_change,
        )

    def _make_pool(self, slots: int) -> None:
        idle = self._settings.pool.idle_processes
        prompt = PromptObserver(lambda: self._heartbeat.hurry())  # noqa: PLW0108 - the heartbeat comes later
        self._observer = observe(self._hooks, self._settings, self._environment, self.name, self._board.path)
        self.pool = Pool(
            self._settings.pool,
            slots=slots,
            idle_target=min(slots, max(1, int(allowed_cpus()))) if idle is None else idle,
            initialize=self._first_message,
            environment=self._environment,
            on_outcomes=self._on_outcomes,
            on_end=self._on_process_end,
            on_change=self._on_pool_change,
            observer=prompt if self._embedding.is_prompt else self._observer,
            on_output=self._job_output.show,
            starter=self._embedding.starter,
        )
        self._execution.attach(self.pool)
        self._orphans = Orphans(
            lambda: [*self.pool.reserve_pids, *self.pool.pids, *self._follow_ups.pool.pids],
            lambda: min(self.pool.unborn_since, self._follow_ups.pool.unborn_since),
        )
        self._desired = Desired(self.pool, self.stopping, self._stay_drained)
        store = FollowUpStore(self._client, self._keys, self._rq_keys)
        self._follow_ups = FollowUps(
            store, self._execution, self._settings, self._first_message, self._environment, self._tell_end
        )

    def _first_message(self, number: int) -> Initialize:
        return first_message(
            self._settings,
            self._environment,
            redis_url=self._redis_url,
            host=self.name,
            process=number,
            runners=self._runners.paths,
            facts=self._board.path,
        )

    def _make_heartbeat(self) -> None:
        self._heartbeat = Heartbeat(
            self._store,
            self._settings,
            self._record,
            self._execution,
            self._hooks,
            self._board,
            self._extra_pids,
            self._tell_starved,
        )
        if self._embedding.is_prompt:
            self._heartbeat.follow_jobs()
        self._heartbeat.observer = self._observer
        self._heartbeat.runners = self._runners
        self._report = HostReport(self.name, self._heartbeat, self.pool, self._tenure, self.stopping)
        _logger.info(
            "%s serves %s with %s, threshold %g",
            self.name,
            ", ".join(self._record.queues),
            "1 process" if self.pool.slots == 1 else f"{self.pool.slots} processes",
            self._record.threshold,
        )

    def _parts(self) -> list[Coroutine[Any, Any, None]]:
        return [
            self._tenure.run(self._heartbeat, self._execution),
            self._warm_up(),
            self._execution.run(),
            offer_jobs(self._hooks, self._execution, self._heartbeat, self._settings.lease.heartbeat_interval),
            recall(self._execution, self._publish_now),
            self._reservations.run(self._own_queues),
            Bell(self._redis_url, self._keys.host_bell(self.name), self._execution, self._reservations).run(),
            self._orders(),
            self._limits(),
            Audit(self._store, lambda: self._tenure.who, self._execution).run(),
            keep_events(self._store, self._execution.contact, self.name, self._events),
            self._orphans.run(),
            self._follow_ups.run(),
        ]

    def _orders(self) -> Coroutine[Any, Any, None]:
        channel = self._rq_keys.channel(self.name)
        return Orders(self._redis_url, channel, self._execution, self.stopping, self._embedding.commands).run()

    def _limits(self) -> Coroutine[Any, Any, None]:
        settings, pace = self._settings.host, self._embedding.pace
        return Limits(settings, self._store, lambda: self._tenure.who, self._execution, self.stopping, pace).run()

    async def _warm_up(self) -> None:
        """Runners first: whatever a process does when it warms up, it may call them."""
        await self._runners.start()
        self.pool.start()
        await self._runners.supervise()

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        stop = asyncio.create_task(self.stopping.wait())
        try:
            done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
            raise_error_of(done - {stop})
        finally:
            stop.cancel()

    async def _drain(self) -> StopLimit:
        """Returns the time that is left to leave."""
        _logger.info("draining (%s): takes no new jobs, still running: %d", self.stopping.reason, self.pool.running)
        self._heartbeat.drain()
        drain = Drain(self._settings, self._execution, self._runners, self.stopping, self._publish_now)
        limit = await drain.run()
        if not self.stopping.at_once:
            await self._follow_ups.settle(limit)
        return limit

    async def _end(self, tasks: list[asyncio.Task[None]], limit: StopLimit) -> None:
        """Closes all that is open, and leaves, in the time that is left."""
        await limit.spend("ending its parts", end(tasks), CANCEL_PARTS_SECONDS)
        await limit.spend("killing what still runs", self._kill_all(), max(1.0, limit.left() - GOODBYE_SECONDS))
        if self._tenure.who is not None:
            await limit.spend("saying goodbye", self._leave(self._tenure.who), GOODBYE_SECONDS)
        self._execution.keep_outcomes()
        self._spool.close()
        await limit.spend("hanging up", self._client.aclose(), 1.0)
        await limit.spend("closing hooks and handlers", self._close_helpers())
        _logger.info("ended; attempts run: %d", self._execution.finished_jobs)

    async def _kill_all(self) -> None:
        """Nothing of a job may run once the leases are given up."""
        await self.pool.close(0.0)
        await self._follow_ups.close()
        await self._runners.close(0.0)
        await self._orphans.end_all()

    async def _close_helpers(self) -> None:
        await self._heartbeat.close()
        if self._hooks is not None:
            await self._hooks.close()
        self._standby.stop()
        if self._observer is not None:
            await self._observer.close()
        self._board.close()

    async def _leave(self, who: Registration) -> None:
        try:
            await self._heartbeat.note_usage(who)
            await self._store.leave(who)
            await self._store.remove_rq_record(self.name, self._record.queues)
        except REDIS_ERRORS as error:
            _logger.warning("could not say goodbye, the coordinator will notice: %s", error)

    async def _own_queues(self) -> OwnQueues:
        return OwnQueues() if self._tenure.who is None else await self._store.own_queues(self._tenure.who)

    async def _publish_now(self) -> None:
        await self._tenure.beat(self._heartbeat)

    def _on_beat(self, answer: BeatAnswer) -> None:
        timeout = self._settings.lease.host_timeout
        self.pool.renew(self._heartbeat.renewed_at + timeout - min(EXPIRY_MARGIN_SECONDS, timeout / 2))
        self._execution.placed(answer.inbox)
        self._reservations.tell(answer.own)
        self._job_log.tick(time.monotonic())
        self._job_output.tick(time.monotonic())
        self._desired.obey(answer.desired)
        if answer.leader:
            self._standby.somebody_leads()
        elif answer.campaign_won and not self.stopping.requested:
            self._standby.start()

    def _stay_drained(self, drained: bool) -> None:
        """What an operator wants while it lives on: takes nothing and gives back what was not begun, or takes jobs."""
        self._heartbeat.drained = drained
        if drained:
            self._execution.accepting = False
        self._heartbeat.hurry()

    def _on_outcomes(self, outcomes: Any) -> None:
        self._execution.outcomes_arrived(outcomes)
        self._heartbeat.note_jobs()

    def _on_process_end(self, end: ProcessEnd, begun: Any, unbegun: Any) -> None:
        self._execution.process_ended(end, begun, unbegun)
        self._orphans.hurry()
        self._follow_ups.hurry(begun)
        if end.abnormal:
            _logger.warning("%s", end.report())
        else:
            _logger.debug("%s", end.sentence())
        self._tell_end(end)

    def _tell_end(self, end: ProcessEnd) -> None:
        if self._observer is not None:
            self._observer.process_ended(end)
        if end.abnormal:
            self._tell("process.ended", process_fields(end))

    def _tell_starved(self, reason: str) -> None:
        self._tell("host.starved", {"reason": reason})

    def _tell(self, event: str, fields: Fields) -> None:
        if not self._events.full():
            self._events.put_nowait((event, {"at": iso_now(), **fields}))

    def _on_pool_change(self) -> None:
        self._heartbeat.hurry()
        self._execution.wake()

    def _extra_pids(self) -> list[int]:
        parts = (self._hooks, self._observer, self._standby)
        pids = [part.pid for part in parts if part is not None and part.pid is not None]
        return [*pids, *self._runners.pids, *self.pool.helper_pids, *self._follow_ups.pool.pids]
