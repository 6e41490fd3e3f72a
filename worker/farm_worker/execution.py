"""The hot path of a host: takes jobs from the inbox, deals them to processes, records how they ended. In batches.

One exchange with Redis is under way at a time; what comes meanwhile goes into the next. A batch keeps its name until
Redis answered, so after a lost reply it is sent again and changes nothing twice.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Sequence

from farm.ending import Ending
from farm.errors import HostFenced
from farm.store.connection import REDIS_ERRORS
from farm.store.execution import Exchange, ExecutionStore, FinishBatch, StartBatch
from farm.store.hosts import Registration
from farm.store.started import StartedJob
from farm_worker import prefetch
from farm_worker.contact import Contact
from farm_worker.dealing import Dealing
from farm_worker.endings import from_outcome, from_process_end, interrupted_ending, spared
from farm_worker.function_usage import FunctionUsages
from farm_worker.hand_back import HandBack
from farm_worker.job_log import JobLog
from farm_worker.job_stops import JobStops
from farm_worker.leases import Leases
from farm_worker.offers import Offers
from farm_worker.outcomes import MAX_BATCH, Outcomes
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.pool import Pool
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.starts import Starts
from farm_worker.taking import Taking


class Execution:
    """What a host does with the jobs that were placed on it."""

    def __init__(
        self, store: ExecutionStore, outcomes: Outcomes, job_log: JobLog, on_fenced: Callable[[], None]
    ) -> None:
        self.contact = Contact()
        """Nothing is written while it is lost."""
        self._accepting = False
        self.running_limit = 0
        """Jobs that may run at once, says admission: a host that is full and holds starts no more than it had."""
        self.finished_jobs = 0
        self.max_jobs: int | None = None
        """Jobs that this host runs in its life; None for no limit."""
        self._peak = 0
        self._store = store
        self._job_log = job_log
        self._on_fenced = on_fenced
        self._pool: Pool | None = None
        self._who: Registration | None = None
        self._outcomes = outcomes
        self.starts = Starts()
        """From the inbox, and from the queues of a sole host."""
        self._dealing = Dealing(lambda: self.pool, self.starts)
        self._held = self._dealing.held
        self.durations = self._dealing.durations
        self.usages = FunctionUsages()
        self.is_short = self._dealing.is_short
        self._back = HandBack(store, self.contact, self.refused)
        self.offers: Offers | None = None
        """Where the app says which jobs this host runs."""
        self._failures = 0
        self._wake = asyncio.Event()
        self.stirred = asyncio.Event()
        """Jobs may have come or gone since somebody cleared it."""
        self.stops = JobStops(lambda: self.pool, self._held, self._outcomes, self._wake)
        self.taking = Taking(self._idle_room)
        """From reserved queues."""
        requests = self.starts, self.taking
        self.leases = Leases(self._dealing, self._outcomes, self._back, requests, self._wake)

    def attach(self, pool: Pool) -> None:
        """The pool that runs the jobs. It calls `outcomes_arrived` and `process_ended`."""
        self._pool = pool
        pool.tell_usage = self.usages.ended

    def offer(self) -> Offers:
        """From here on no process gets a job that the app was not asked about."""
        self.offers = Offers(self, self._held, self._back, self._job_log)
        return self.offers

    def settled(self) -> None:
        """The app said of jobs whether this host runs them."""
        self._deal_held()
        self.stirred.set()
        self._wake.set()

    def begin(self, who: Registration) -> list[Ending]:
        """A new registration: what belonged to the one before is forgotten. Returns the outcomes that come too late."""
        late = self.give_up()
        self._who = who
        self._back.begin(who)
        self._wake.set()
        return late

    def give_up(self) -> list[Ending]:
        """The registration is gone, and what was held under it is others' now: nothing more is dealt or said of it.

        Returns the outcomes that come too late.
        """
        self._who = None
        self.taking.end_lent()
        self._held.take_all()
        self._back.begin(None)
        self.starts.forget()
        return self._outcomes.give_up()

    @property
    def pool(self) -> Pool:
        assert self._pool is not None, "attach() comes first"
        return self._pool

    @property
    def accepting(self) -> bool:
        """Whether jobs are taken from the inbox. If not (draining, unhealthy), all that was not begun goes back."""
        return self._accepting

    @accepting.setter
    def accepting(self, accepting: bool) -> None:
        self._accepting = accepting
        if not accepting:
            self.taking.end_lent()

    @property
    def unsettled(self) -> int:
        """Jobs whose lease this host still holds, as far as it knows, and requests that may have brought some."""
        running = sum(len(process.assignments) for process in self.pool.processes)
        asked = 0 if self.contact.lost else self.taking.unsettled
        return running + len(self._outcomes) + len(self._held) + len(self._back) + asked

    def placed(self, inbox: int, *, is_news: bool = True) -> None:
        """The inbox has this many ids, says a beat or the bell. Else than `is_news`, maybe since the last exchange."""
        self.starts.placed(inbox, is_news=is_news)
        self.taking.look()
        if inbox:
            self.stirred.set()
            if not self.has_work_ahead:
                self._wake.set()

    @property
    def inbox(self) -> int:
        """Ids in the inbox, as far as this host knows."""
        return self.starts.inbox

    def serve_alone(self, is_sole: bool) -> None:
        """Redis says, with each beat at least, whether this host is sole: no other serves its queues."""
        is_news = is_sole and not self.starts.is_sole
        self.starts.is_sole = is_sole
        if is_news or (is_sole and self.pool.busy):  # while it is idle, who watches its queues hears what comes
            self.look_at_queues()

    def look_at_queues(self) -> None:
        """Jobs may wait there, and there may be room for them: a sole host asks."""
        self.starts.look_at_queues()
        self._wake.set()

    @property
    def who(self) -> Registration | None:
        """The registration that holds its leases; None while there is none."""
        return self._who

    @property
    def has_work_ahead(self) -> bool:
        """Whether jobs wait at every process, as of the last time that some were dealt."""
        return not self.is_short.is_set()

    @property
    def may_hold(self) -> int:
        """Jobs that could run at once, the running ones counted."""
        return min(self.pool.capable, self.running_limit)

    def began(self, who: Registration, job: StartedJob) -> Assignment | None:
        """A process begins a job that it waited for itself, started for this registration. None: it is others'."""
        if who is not self._who:
            return None
        self._job_log.started(job)
        self._peak = max(self._peak, self.pool.busy + 1)
        self.stirred.set()
        return self._dealing.assign(job)

    def took(self, who: Registration, started: Sequence[StartedJob]) -> None:
        """Jobs came that nobody had placed, started for this registration."""
        if who is not self._who:
            return  # others' by now
        room = max(0, self.allowance - self.unsettled) if self.accepting else 0
        self._hold(started[:room])
        self._back.add(*map(self._dealing.assign, started[room:]))
        self._deal_held()
        self.stirred.set()
        if len(self._back):
            self._wake.set()

    @property
    def allowance(self) -> int:
        """Jobs that this host may still hold, the running ones counted: what is left of `max_jobs`."""
        return sys.maxsize if self.max_jobs is None else max(0, self.max_jobs - self.finished_jobs)

    def take_peak(self) -> int:
        """The greatest number of processes that were busy at once since the last call."""
        peak, self._peak = self._peak, self.pool.running
        return peak

    def wake(self) -> None:
        """Something changed: a process is ready, or jobs run beside each other."""
        self.look_at_queues()
        self.taking.look()

    def outcomes_arrived(self, outcomes: Sequence[tuple[Assignment, Outcome]]) -> None:
        """Processes said how jobs ended."""
        now = time.monotonic()
        for assignment, outcome in outcomes:
            if outcome.kind == "unbegun":
                self._back.add(assignment)
                continue
            if outcome.kind == "returned":  # unbegun, and before all that is held
                self._held.put_back(assignment)
                continue
            if outcome.kind == "interrupted":
                self._put_back(assignment, interrupted_ending(assignment), drained=True)
                continue
            self.durations.observe(assignment.queue, assignment.called, outcome.seconds, now)
            self._outcomes.add(from_outcome(assignment, outcome))
        self._outcomes_added()

    def process_ended(self, end: ProcessEnd, begun: Assignment | None, unbegun: Sequence[Assignment]) -> None:
        """A process is gone. The job that it had begun is accounted for, those that it had not begin elsewhere."""
        if end.reason is Reason.HOST_LOST:
            return  # they belong to others now
        self._held.put_unbegun(unbegun)
        if begun is not None and end.abnormal:
            self.usages.broke_off(begun, time.monotonic())
        if begun is not None and end.reason is not Reason.LEASE_LOST:
            ending = from_process_end(begun, end, self._who.host if self._who else "")
            self._put_back(begun, ending, drained=end.reason is Reason.DRAINED)
        for one in end.beside:
            ending = from_process_end(one, spared(end), self._who.host if self._who else "")
            self._put_back(one, ending, drained=end.reason is Reason.DRAINED)
        self._outcomes_added()

    async def run(self) -> None:
        """Exchanges whenever there is something to say or to take. Ends only by cancellation."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while await self._step():
                self.stirred.set()
            self.stirred.set()

    async def hand_back(self, assignments: Sequence[Assignment], *, with_inbox: bool, counted_as: str = "") -> None:
        """Gives back leases, and all that is in the inbox if so asked. No attempt is counted."""
        if await self._back.give(assignments, with_inbox=with_inbox, counted_as=counted_as) and with_inbox:
            self.starts.inbox = 0

    def keep_outcomes(self) -> None:
        """Redis can't be told now: how jobs ended must outlive this host."""
        if self._who is not None:
            self._outcomes.keep(self._who)

    async def hand_back_all(self, counted_as: str = "") -> None:
        """When no jobs are taken: everything that was not begun, and what was placed without this host knowing."""
        back = self._dealing.take_all()
        try:
            await self._start_is_over(back)
            back += self._dealing.take_all()
            if await self._back.give_all(back, counted_as=counted_as):
                self.starts.inbox = 0
        finally:
            self._wake.set()

    async def hand_back_late(self, *, with_inbox: bool) -> None:
        """What was dealt and not begun in time. Nothing is started meanwhile: that would begin before it."""
        with self.starts.held_off():
            await self.starts.over()
            late = self._dealing.take_late(time.monotonic())
            await self.hand_back(late, with_inbox=with_inbox, counted_as="recalled")
        self._wake.set()

    def running(self) -> list[Assignment]:
        """The jobs that processes are at right now."""
        return [begun for process in self.pool.processes for begun in process.running]

    async def _step(self) -> bool:
        if self.contact.lost:
            self.keep_outcomes()
            await self.contact.wait()
        if len(self._outcomes) < MAX_BATCH:
            self.pool.hearing.hear()
        await self._back.give_waiting(self._dealing.dealt())
        who, finish = self._who, self._outcomes.next_batch()
        if finish is None:
            self._deal_held()
        start = self._next_start(ended=finish is not None)
        if who is None or (finish is None and start is None):
            return False
        if finish is not None:  # Redis works on that while what it sent is dealt
            asyncio.get_running_loop().call_soon(self._deal_held)
        try:
            exchange = await self._store.exchange(who, finish, start, self.inbox)
        except HostFenced:
            self.refused(who)
            return False
        except REDIS_ERRORS as error:
            self._failures += 1
            self.keep_outcomes()
            await self.contact.ride_out(error, self._failures - 1)
            return True
        self._failures = 0
        if who is self._who:
            self._apply(exchange, finish)
        # A suspended farm leaves the inbox as it is: asking again at once would go on for as long.
        return bool((finish and self.inbox) or len(self._outcomes) or exchange.started or exchange.dropped)

    def _put_back(self, assignment: Assignment, ending: Ending | None, *, drained: bool) -> None:
        """It did not end by itself: what is to be written of it, or None if it runs again."""
        if ending is not None:
            self._outcomes.add(ending)
        else:
            assignment.drained = drained
            self._back.add(assignment)

    def _outcomes_added(self) -> None:
        if self._failures or self.contact.lost:
            self.keep_outcomes()
        self._wake.set()
        self.taking.look()

    def refused(self, who: Registration) -> None:
        """This registration was given up. Of one that this host has left behind already that is no news."""
        if self._who is who:
            self._on_fenced()

    async def _start_is_over(self, back: Sequence[Assignment]) -> None:
        """A start under way takes jobs that stood behind those of `back`: they go back together, else out of order."""
        try:
            await self.starts.over()
        except asyncio.CancelledError:
            self._back.add(*back)
            raise

    def _idle_room(self) -> int:
        """How many jobs would begin at once, if they came now."""
        if not self.accepting:
            return 0
        free = min(self.pool.idle, self.pool.slots - self.pool.busy, self.running_limit - self.pool.running)
        return max(0, min(free - len(self._held) - self.inbox, self.allowance - self.unsettled))

    def _next_start(self, *, ended: bool) -> StartBatch | None:
        starts = self.starts
        is_idle = not self.pool.busy and not self._held
        may_bring = starts.may_bring(ended=ended, has_work_ahead=self.has_work_ahead, is_idle=is_idle)
        if starts.batch is None and may_bring and self.accepting:
            if (room := self._room(time.monotonic())) > 0:
                starts.ask(min(room, MAX_BATCH))
            else:
                self.pool.want(self.inbox)
        return starts.batch

    def _room(self, now: float) -> int:
        return min(self._dealing.room(now, self.running_limit), self.allowance - self.unsettled)

    def _apply(self, exchange: Exchange, finish: FinishBatch | None) -> None:
        if finish is not None:
            for ending, answer in zip(finish.endings, exchange.answers, strict=True):
                self._job_log.ended(ending, answer)
            self.finished_jobs += len(finish.endings)
            self._outcomes.answered()
        self.starts.answered(exchange)
        self._hold(exchange.started)

    def _hold(self, started: Sequence[StartedJob]) -> None:
        assignments = self._dealing.hold(started)
        if self.offers is not None:
            self.offers.add(assignments)
            return
        for job in started:
            self._job_log.started(job)

    def _deal_held(self) -> None:
        self._dealing.deal()
        self._peak = max(self._peak, self.pool.running)

    @property
    def waits_since(self) -> float:
        """Monotonic seconds: when the first of those that wait here was sent to a process, or seen in the inbox."""
        return min(self._dealing.oldest(), self.starts.waits_since)

    def is_any_late(self, now: float) -> bool:
        """Whether a job was dealt and not begun in time."""
        return self._dealing.oldest() < now - prefetch.RECALL_SECONDS

    def has_room(self, now: float) -> bool:
        """Whether a process has room for what is in the inbox, or is about to have it."""
        return self._room(now) > 0 or self.pool.starting > 0
