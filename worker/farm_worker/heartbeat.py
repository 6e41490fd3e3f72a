"""The beat: measures, decides what the host takes, publishes it, and renews the lease. One loop, one concern.

What comes back with a beat (who leads, what operators want) is handed to the host.
"""

import asyncio
import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence

from farm.errors import HostFenced
from farm.store.connection import REDIS_ERRORS, REFUSED
from farm.store.hosts import BeatAnswer, HostStore, Registration
from farm_settings import Settings
from farm_worker import prefetch
from farm_worker.admission import AdmissionFacts, AdmissionState, decide
from farm_worker.execution import Execution
from farm_worker.hooks import Hooks
from farm_worker.load.facts import Facts, SamplingFailed
from farm_worker.load.sampler import Sampler
from farm_worker.observer import HostObserver
from farm_worker.pool.expiry import clock
from farm_worker.pool.progress import to_field
from farm_worker.pool.protocol import LoadAnswer
from farm_worker.process_list import ProcessList
from farm_worker.published import HostRecord, rq_record
from farm_worker.runners import Runners

LEAST_SAMPLE_SECONDS = 0.4
"""Samples over less time say little: a beat that is brought forward uses the last one."""

LEAST_BEAT_SECONDS = 0.02
"""Beats that are brought forward keep this distance."""

PROMPT_BEAT_SECONDS = 0.01
"""This one, where they follow jobs."""

EXECUTION_RECORD_SECONDS = 15.0
"""RQ's execution records of running jobs are renewed this often: well within their 90 s."""

SAMPLING_FAILURES_ALLOWED = 2
"""A third failed sample in a row makes the host unhealthy: no frozen value is published for long."""

_logger = logging.getLogger("farm.heartbeat")


class Heartbeat:
    """Keeps one host alive in Redis and tells what it will take."""

    def __init__(
        self,
        store: HostStore,
        settings: Settings,
        record: HostRecord,
        execution: Execution,
        hooks: Hooks | None,
        extra_pids: Callable[[], Sequence[int]],
        starved: Callable[[str], None],
    ) -> None:
        self.draining = False
        """The host stops."""
        self.drained = False
        """An operator wants it to take nothing, and to stay."""
        self.state = AdmissionState()
        self.load = 0.0
        self.starved = starved
        self.observer: HostObserver | None = None
        """Told of each change of state, if the app has handlers."""
        self.runners: Runners | None = None
        """What the host cannot do without, if the app has any."""
        self.facts: Facts | None = None
        self.renewed_at = 0.0
        """When the last beat that Redis accepted was sent, on `expiry.clock`."""
        self.tried_at = time.monotonic()
        """When a beat was tried last, whatever came of it."""
        self._store = store
        self._settings = settings
        self._record = record
        self._execution = execution
        self._hooks = hooks
        self._extra_pids = extra_pids
        self._sampler = Sampler()
        self._sampled_at = 0.0
        self._sampling_failures = 0
        self._sampling_error = ""
        self._users_answer: LoadAnswer | None = None
        self._asked_at = 0.0
        self._recorded_at: dict[bytes, float] = {}
        self._processes = ProcessList()
        self._hurry = asyncio.Event()
        self._least_seconds = LEAST_BEAT_SECONDS
        self._record_after = settings.lease.heartbeat_interval
        self._published_prefetch = 0
        self._most_prefetch = 0
        """That was wanted since the last beat."""
        self._contact = execution.contact
        self._contact.on_loss = self.hurry
        self._is_refused = False
        self._lock = asyncio.Lock()

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

    async def _beat(self, who: Registration) -> BeatAnswer:
        self._hurry.clear()
        await self._measure()
        self._published_prefetch = self._prefetch_until_next()
        await self._decide()
        record = self._record.fields(who, self.state, self.load, self._facts(), self._published_prefetch)
        record["idle_processes"] = min(self._execution.pool.idle_target, self._execution.pool.slots)
        asked_at = clock()
        answer = await self._publish(who, record)
        self.renewed_at = asked_at
        try:
            if not answer.rq_record_present:
                await self._write_rq_record(who)
            await self._record_executions(who)
            await self._keep_progress(who)
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

    async def _measure(self) -> None:
        now = time.monotonic()
        if now - self._sampled_at < LEAST_SAMPLE_SECONDS:
            return
        born = [process.pid for process in self._execution.pool.processes if process.pid]
        pids = [os.getpid(), *born, *self._extra_pids()]
        try:
            self.facts = self._sampler.sample(pids)
        except SamplingFailed as error:
            self._sampling_failures += 1
            self._sampling_error = str(error)
            _logger.warning("%s", error)
        else:
            self._sampled_at = now
            self._sampling_failures = 0

    def _facts(self) -> Facts:
        pool = self._execution.pool
        facts = self.facts or Facts(0.0, 0.0, 0.0, 0.0, 1.0, 0, 0, measured=False)
        return dataclasses.replace(facts, slots=pool.slots, busy=pool.busy, jobs=pool.running, idle=pool.idle)

    async def _decide(self) -> None:
        facts, pool = self._facts(), self._execution.pool
        load, error = await self._load(facts)
        before = self.state
        self.load = load
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
                peak=self._execution.take_peak(),
                user_load=self._users_load,
                error=error,
                warming=self._is_warming(facts),
                draining=self.draining or self.drained,
                resumable=not self.draining,
            ),
            self._settings.admission,
            time.monotonic(),
        )
        self.state = dataclasses.replace(self.state, capacity=min(self.state.capacity, self._execution.allowance))
        self._execution.running_limit = self.state.running_limit
        self._execution.accepting = self.state.state in ("available", "full")
        self._tell_change(before)

    async def _load(self, facts: Facts) -> tuple[float, str | None]:
        error = self._execution.pool.unhealthy_reason or (self.runners and self.runners.unhealthy_reason) or None
        if self._sampling_failures > SAMPLING_FAILURES_ALLOWED:
            error = error or self._sampling_error
        if not self._users_load:
            return facts.load, error
        answer = await self._ask_user(facts)
        return (0.0 if answer.value is None else answer.value), error or answer.error or None

    async def _ask_user(self, facts: Facts) -> LoadAnswer:
        """The app's own load. A beat that is brought forward uses the last answer."""
        assert self._hooks is not None
        now = time.monotonic()
        if self._users_answer is None or now - self._asked_at >= LEAST_SAMPLE_SECONDS:
            timeout = self._settings.lease.heartbeat_interval
            told = dataclasses.asdict(facts) | {"threshold": self._settings.admission.threshold}
            self._users_answer = await self._hooks.load(told, timeout=timeout)
            self._asked_at = now
        return self._users_answer

    @property
    def _users_load(self) -> bool:
        return self._hooks is not None and self._hooks.app.has_load

    def _tell_change(self, before: AdmissionState) -> None:
        after = self.state
        if after.state not in (before.state, "draining"):  # that the host says itself
            _logger.info("%s%s", after.state, f": {after.reason}" if after.reason else f" (load {self.load:.3f})")
        if after.state != before.state and self.observer is not None:
            self.observer.state_changed(after)
        if after.starved and not before.starved:
            _logger.warning("%s", after.starved)
            self.starved(after.starved)

    def _is_warming(self, facts: Facts) -> bool:
        """Nothing can be said yet: no process was ready, no runner was initialized, or no load was measured."""
        if self.runners is not None and self.runners.starting:
            return True
        pool = self._execution.pool
        decides = self._settings.admission.threshold < 1 and not self._users_load
        return (pool.capable == 0 and pool.idle_target > 0) or (decides and not facts.measured)

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

    async def _pause(self, began: float) -> None:
        rest = began + self._settings.lease.heartbeat_interval - time.monotonic()
        try:
            await asyncio.wait_for(self._hurry.wait(), timeout=max(rest, self._least_seconds))
        except TimeoutError:
            return
        await asyncio.sleep(max(0.0, began + self._least_seconds - time.monotonic()))
