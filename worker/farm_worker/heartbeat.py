"""The beat: decides what the host takes, publishes it, and renews the lease. One loop, one concern.

What comes back with a beat (who leads, what operators want) is handed to the host.
"""

import asyncio
import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from farm.errors import HostFenced
from farm.facts import HostFacts
from farm.store.connection import REDIS_ERRORS, REFUSED
from farm.store.hosts import BeatAnswer, HostStore, Registration
from farm_settings import Settings
from farm_worker import prefetch
from farm_worker.admission import AdmissionFacts, AdmissionState, decide, draining_reason
from farm_worker.execution import Execution
from farm_worker.facts_board import FactsBoard
from farm_worker.hooks import Hooks
from farm_worker.load.facts import Facts
from farm_worker.load_log import LoadLog
from farm_worker.load_watch import LoadWatch
from farm_worker.observer import HostObserver
from farm_worker.pool.expiry import clock
from farm_worker.pool.progress import to_field
from farm_worker.process_list import ProcessList
from farm_worker.published import HostRecord, rq_record
from farm_worker.runners import Runners

LEAST_BEAT_SECONDS = 0.02
"""Beats that are brought forward keep this distance."""

PROMPT_BEAT_SECONDS = 0.01
"""This one, where they follow jobs."""

EXECUTION_RECORD_SECONDS = 15.0
"""RQ's execution records of running jobs are renewed this often: well within their 90 s."""

USAGE_SECONDS = 5.0
"""What jobs used is told this often."""

_logger = logging.getLogger("farm.heartbeat")


class Heartbeat:
    """Keeps one host alive in Redis and tells what it will take."""

    def __init__(  # noqa: PLR0913, PLR0917 - what it tells, and to whom
        self,
        store: HostStore,
        settings: Settings,
        record: HostRecord,
        execution: Execution,
        hooks: Hooks | None,
        board: FactsBoard,
        extra_pids: Callable[[], Sequence[int]],
        starved: Callable[[str], None],
    ) -> None:
        self._hurry = asyncio.Event()
        self.drained = False
        """An operator wants it to take nothing, and to stay."""
        self.state = AdmissionState()
        self.load = 0.0
        self.starved = starved
        self.observer: HostObserver | None = None
        """Told of each change of state, if the app has handlers."""
        self.runners: Runners | None = None
        """What the host cannot do without, if the app has any."""
        self.renewed_at = 0.0
        """When the last beat that Redis accepted was sent, on `expiry.clock`."""
        self.tried_at = time.monotonic()
        """When a beat was tried last, whatever came of it."""
        self._store = store
        self._settings = settings
        self._record = record
        self._execution = execution
        self._board = board
        self._watch = LoadWatch(settings, execution.pool, hooks, extra_pids, self.hurry)
        self._log = LoadLog(each_beat=settings.logs.log_load)
        self._recorded_at: dict[bytes, float] = {}
        self._noted_usage_at = time.monotonic()
        self._processes = ProcessList()
        self._least_seconds = LEAST_BEAT_SECONDS
        self._record_after = settings.lease.heartbeat_interval
        self._draining = False
        """The host stops."""
        self._observed = "starting"
        """The state that handlers were told of last."""
        self._begun = False
        self._known: HostFacts | None = None
        self._published_prefetch = 0
        self._most_prefetch = 0
        """That was wanted since the last beat."""
        self._contact = execution.contact
        self._contact.on_loss = self.hurry
        self._is_refused = False
        self._lock = asyncio.Lock()

    def drain(self) -> None:
        """The host stops. Handlers are told at once: before a beat says so, processes may have ended for it."""
        self._draining = True
        reason = draining_reason(resumable=False)
        self._tell_observer(dataclasses.replace(self.state, state="draining", reason=reason))

    def follow_jobs(self) -> None:
        """From here on beats come as close as jobs begin and end, and write the records of what runs at once."""
        self._least_seconds = PROMPT_BEAT_SECONDS
        self._record_after = 0.0

    def hurry(self) -> None:
        """What this host can take changed: do not wait for the next regular beat."""
        self._hurry.set()

    def note_jobs(self) -> None:
        """Jobs ended: if that allows for a markedly different prefetch, the coordinator should know soon.

        A smaller difference counts while jobs wait here already, as then all that may wait does. On a sole host less is
        placed, if anything, and it decides itself how much less it takes.
        """
        wanted, known = self._prefetch(), self._published_prefetch
        self._most_prefetch = max(self._most_prefetch, wanted)
        tolerated = 1.5 if self._execution.has_work_ahead else 2.0
        if wanted > tolerated * known or (tolerated * wanted < known and not self._is_sole):
            self._hurry.set()

    async def run(self, who: Callable[[], Registration], on_answer: Callable[[BeatAnswer], None]) -> None:
        """Beats until cancelled. Raises HostFenced when the lease is gone; a Redis that is away is lived through."""
        while True:
            self.tried_at = began = time.monotonic()
            try:
                on_answer(await self.beat(who()))
            except HostFenced:
                raise
            except REDIS_ERRORS:
                await self._contact.pause()
            else:
                await self._pause(began)

    async def beat(self, who: Registration) -> BeatAnswer:
        """One beat, now. Raises HostFenced, and redis-py's errors."""
        async with self._lock:
            if self._contact.lost:
                await self._store.drop_connections()
            try:
                answer = await self._beat(who)
            except HostFenced:
                raise
            except REDIS_ERRORS as error:
                self._contact.lose_again(error)
                raise
            self._contact.regain()
            return answer

    async def close(self) -> None:
        """Measures no more. No beat follows."""
        await self._watch.close()

    async def _beat(self, who: Registration) -> BeatAnswer:
        self._hurry.clear()
        self._published_prefetch = self._prefetch_until_next()
        self._known = await self._decide(who.host)
        record = self._record.fields(who, self.state, self._known)
        record["idle_processes"] = min(self._execution.pool.idle_target, self._execution.pool.slots)
        asked_at = clock()
        answer = await self._publish(who, record)
        self.renewed_at = asked_at
        try:
            if not answer.rq_record_present:
                await self._write_rq_record(who)
            await self._record_executions(who)
            await self._keep_progress(who)
            await self._keep_usage(who)
        except REFUSED as error:  # the lease is renewed: what only tells of the host may wait
            if not self._is_refused:
                _logger.warning("Redis refuses what tells of this host and its jobs: %s", error)
            self._is_refused = True
        else:
            self._is_refused = False
        return answer

    async def _publish(self, who: Registration, record: Mapping[str, str | int | float]) -> BeatAnswer:
        now = time.monotonic()
        runners = self.runners.views if self.runners is not None else ()
        processes = self._processes.due(who.identity, self._execution.pool.processes, runners, now)
        campaigns = self._settings.host.standby_coordinator
        answer = await self._store.beat(who, record, self._rq_state(), campaigns, processes)
        if processes is not None:
            self._processes.written(now)
        return answer

    async def _write_rq_record(self, who: Registration) -> None:
        record = rq_record(self._record, self._rq_state(), await self._store.own_address())
        await self._store.write_rq_record(who.host, self._record.queues, record)

    async def _decide(self, host: str) -> HostFacts:
        """What is known now, with what was decided of it."""
        before, pool = self.state, self._execution.pool
        self._watch.starting = not self._has_begun()
        facts, load, error = await self._watch.look(lambda facts: self._host_facts(host, facts, facts.load))
        offers = self._execution.offers
        error = (
            pool.unhealthy_reason
            or (self.runners and self.runners.unhealthy_reason)
            or (offers and offers.error)
            or error
            or None
        )
        self.state = decide(
            before,
            AdmissionFacts(
                load=load,
                memory_share=facts.memory_share,
                others_load=facts.others_load,
                # A process that is not warm can't take a job: what is placed must find one. With none kept warm
                # it is the first job that brings up a process.
                slots=pool.capable if pool.idle_target else pool.slots,
                busy=pool.running,
                prefetch=self._published_prefetch,
                pending=min(pool.starting, pool.slots - pool.capable),
                peak=self._execution.take_peak(),
                user_load=self._watch.is_users,
                error=error,
                warming=self._is_warming(),
                draining=self._draining or self.drained,
                resumable=not self._draining,
            ),
            self._settings.admission,
            time.monotonic(),
        )
        self.state = dataclasses.replace(self.state, capacity=min(self.state.capacity, self._execution.allowance))
        self._execution.running_limit = self.state.running_limit
        self._execution.accepting = self.state.state in ("available", "full")
        self.load = self.state.load
        known = self._host_facts(host, facts, self.load)
        self._board.write(known)
        self._tell_change(before, known)
        return known

    def told(self) -> dict[str, Any]:
        """What hooks that say something of this host are told of it: as of the last beat."""
        return {} if self._known is None else dataclasses.asdict(self._known)

    def _host_facts(self, host: str, facts: Facts, load: float) -> HostFacts:
        return self._record.host_facts(host, self.state, load, facts, self._published_prefetch)

    def _has_begun(self) -> bool:
        """Whether what was to be started at first is there: from here on what this host uses is its load."""
        pool = self._execution.pool
        if not self._begun and not (self.runners is not None and self.runners.starting):
            self._begun = pool.running > 0 or pool.capable >= min(pool.idle_target, pool.slots)
        return self._begun

    def _tell_change(self, before: AdmissionState, facts: HostFacts) -> None:
        after = self.state
        self._log.tell(before.state, facts, after.reason)
        self._tell_observer(after)
        if after.starved and not before.starved:
            _logger.warning("%s", after.starved)
            self.starved(after.starved)

    def _tell_observer(self, state: AdmissionState) -> None:
        if state.state != self._observed and self.observer is not None:
            self.observer.state_changed(state)
        self._observed = state.state

    def _is_warming(self) -> bool:
        """Nothing can be said yet: no process was ready, no runner was initialized, or no load is known."""
        if self.runners is not None and self.runners.starting:
            return True
        pool = self._execution.pool
        return (pool.capable == 0 and pool.idle_target > 0) or self._watch.is_unknown

    def _prefetch(self) -> int:
        expected = self._execution.durations.expected(time.monotonic())
        return prefetch.prefetch(expected, self._execution.pool.capable, is_sole=self._is_sole)

    def _prefetch_until_next(self) -> int:
        """A sole host decides with each request how much it takes: what it publishes is the most that this may be.

        Nothing behind a long job, though: what was recalled from there would be placed here again.
        """
        wanted, most = self._prefetch(), self._most_prefetch
        self._most_prefetch = wanted
        return max(wanted, most) if self._is_sole and wanted > 0 else wanted

    @property
    def _is_sole(self) -> bool:
        return self._execution.starts.is_sole

    def _rq_state(self) -> str:
        if self.state.state == "starting":
            return "starting"
        return "busy" if self._execution.pool.busy else "idle"

    async def _record_executions(self, who: Registration) -> None:
        """RQ's execution records, written late: only for jobs that outlive a beat."""
        now = time.monotonic()
        running = self._execution.running()
        due = [
            job
            for job in running
            if now - (job.begun_at or now) >= self._record_after
            and now - self._recorded_at.get(job.job_id, -EXECUTION_RECORD_SECONDS) >= EXECUTION_RECORD_SECONDS
        ]
        for job in due:
            job.recorded = True
        if due:
            await self._store.record_executions(who, [(job.job_id, job.token) for job in due])
        known = {job.job_id: self._recorded_at[job.job_id] for job in running if job.job_id in self._recorded_at}
        self._recorded_at = known | {job.job_id: now for job in due}

    async def _keep_progress(self, who: Registration) -> None:
        """What running jobs said of how far they are, where it is news."""
        said = [(job, job.progress) for job in self._execution.running()]
        news = [(job, progress) for job, progress in said if progress is not None and progress is not job.kept_progress]
        if not news:
            return
        await self._store.keep_progress(who, [(job.job_id, job.token, to_field(progress)) for job, progress in news])
        for job, progress in news:
            job.kept_progress = progress

    async def _keep_usage(self, who: Registration) -> None:
        if time.monotonic() - self._noted_usage_at >= USAGE_SECONDS:
            await self.note_usage(who)

    async def note_usage(self, who: Registration) -> None:
        """Tells what jobs used, as far as that is news: of a hundred functions at most. Raises redis-py's errors."""
        usages, now = self._execution.usages, time.monotonic()
        usages.observe_running(self._execution.running(), now)
        note = usages.next_note()
        if note is not None:
            await self._store.usage_notes.note(who.host, who.identity, *note)
            usages.noted()
        if not usages.has_more:
            self._noted_usage_at = now

    async def _pause(self, began: float) -> None:
        rest = began + self._settings.lease.heartbeat_interval - time.monotonic()
        try:
            await asyncio.wait_for(self._hurry.wait(), timeout=max(rest, self._least_seconds))
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, began + self._least_seconds - time.monotonic()))
