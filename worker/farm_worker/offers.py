"""Jobs that this host started and may decline: the app is asked about them before any process gets one.

The app's function runs in the hooks process, so what it takes delays nothing but the jobs that it is asked about, and
those behind them. Where it does not say, the host is unhealthy: the function is asked again each heartbeat interval,
about the job that it answered last and about one that it failed on, and after TRIAL_SECONDS about a job that comes.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from farm_worker.hand_back import HandBack
from farm_worker.held import Held
from farm_worker.job_fields import shown
from farm_worker.job_log import JobLog
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.offer_messages import AcceptAnswer, Offer, Verdict

MOST_AT_ONCE = 100
TRIAL_SECONDS = 5.0
"""Less than a job stays declined: the first one that is tried then is another."""

Ask = Callable[[Sequence[Offer]], Awaitable[AcceptAnswer]]

_logger = logging.getLogger("farm.host")


class Offering(Protocol):
    """The host's execution, as far as it concerns offers."""

    @property
    def accepting(self) -> bool:
        """Whether this host runs what it is offered."""

    def settled(self) -> None:
        """Some jobs may be dealt by now, others wait to be given back."""


class Offers:
    """Of one host. `run` asks; `ask` has to be set before."""

    def __init__(self, execution: Offering, held: Held, back: HandBack, job_log: JobLog) -> None:
        self.error = ""
        """Why the app can't say, while it can't: then nothing is started, and what comes goes back."""
        self.ask: Ask
        self.can_ask: Callable[[], bool] = lambda: True
        """Whether there is anybody to ask: what failed then may be the job's fault."""
        self.on_change: Callable[[], None] = lambda: None
        """Told when `error` changed."""
        self.pause = 1.0
        """Seconds between two tries while there is an error."""
        self._execution = execution
        self._held = held
        self._back = back
        self._job_log = job_log
        self._news = asyncio.Event()
        self._failed: Offer | None = None
        self._answered: Offer | None = None
        self._failing_since = 0.0
        self._one_by_one = 0

    def add(self, assignments: Iterable[Assignment]) -> None:
        """Jobs that were started, and are held: the app is to be asked about them."""
        for assignment in assignments:
            assignment.offered = True
        self._news.set()
        if self.error:
            self._give_back()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self.error:
                await asyncio.sleep(self.pause)
                await self._try_again()
                continue
            await self._news.wait()
            self._news.clear()
            while not self.error and (asked := self._held.offered(1 if self._one_by_one else MOST_AT_ONCE)):
                await self._ask_about(asked)

    async def _ask_about(self, asked: Sequence[Assignment]) -> None:
        offers = [*map(_offer, asked)]
        could_ask = self.can_ask()
        answer = await self.ask(offers)
        self._one_by_one = max(0, self._one_by_one - 1)
        if not answer.verdicts:
            # One of these it was, if there was anybody to ask.
            self._one_by_one = len(asked) if could_ask else 0
            self._fail([(asked[0], answer.error)], is_sure=could_ask and len(asked) == 1)
            return
        answered = [*zip(asked, answer.verdicts, strict=False)]
        self._settle([(assignment, verdict) for assignment, verdict in answered if verdict.kind != "failed"])
        failures = [(assignment, verdict.reason) for assignment, verdict in answered if verdict.kind == "failed"]
        if failures:
            self._fail(failures, is_sure=True)
        self._execution.settled()

    def _settle(self, answered: Sequence[tuple[Assignment, Verdict]]) -> None:
        if not answered:
            return
        self._answered = _offer(answered[-1][0])
        reasons = {one.token: verdict.reason for one, verdict in answered if verdict.kind == "declined"}
        now = time.monotonic()
        accepted: list[Assignment] = []
        declined: list[Assignment] = []
        for held in self._held.settle(one for one, _ in answered):
            held.dispatched_at = now  # how long it waits for a process counts from here
            (declined if held.token in reasons else accepted).append(held)
        if self._execution.accepting:
            for held in accepted:
                self._job_log.started(held)
        else:
            self._return(accepted)
        self._decline(declined, reasons)

    def _decline(self, declined: Sequence[Assignment], reasons: Mapping[str, str]) -> None:
        for held in declined:
            held.declined = reasons[held.token]
            self._job_log.declined(held, held.declined)
        self._return(declined)

    def _return(self, assignments: Sequence[Assignment]) -> None:
        self._held.drop(*(one.token for one in assignments))
        self._back.add(*assignments)

    def _fail(self, failures: Sequence[tuple[Assignment, str]], *, is_sure: bool) -> None:
        """`is_sure`: there is no doubt that it failed on these. They are not offered to this host for a while."""
        last, error = failures[-1]
        _logger.error("%s (asked about %s)", error, ", ".join(shown(one.job_id) for one, _ in failures))
        if is_sure:
            reasons = {one.token: reason.splitlines()[0] for one, reason in failures}
            self._decline(self._held.settle(one for one, _ in failures), reasons)
        self._failed = _offer(last)
        if not self.error:
            self._failing_since = time.monotonic()
        self.error = error
        self._give_back()
        self.on_change()

    def _give_back(self) -> None:
        """All that the app was not asked about, or did not answer."""
        self._return(self._held.settle(self._held.offered(len(self._held))))
        self._execution.settled()

    async def _try_again(self) -> None:
        for offer in filter(None, (self._answered, self._failed)):
            answer = await self.ask([offer])
            if answer.verdicts and answer.verdicts[0].kind != "failed":
                self._mend("the accept function answers again")
                return
            self.error = answer.verdicts[0].reason if answer.verdicts else answer.error
        if time.monotonic() - self._failing_since >= TRIAL_SECONDS and self.can_ask():
            self._one_by_one = max(1, self._one_by_one)
            self._answered = None
            self._mend("the accept function is tried on the next job")

    def _mend(self, what: str) -> None:
        _logger.info("%s", what)
        self.error = ""
        self.on_change()


def _offer(assignment: Assignment) -> Offer:
    return Offer(
        assignment.job_id,
        assignment.queue,
        assignment.attempt,
        assignment.called,
        assignment.packed,
        assignment.is_large,
    )
