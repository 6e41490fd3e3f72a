"""Holds what Redis says at the end against the ledger and the timeline. Each finding breaks a promise."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.ledger import Run
from tests.chaos.orders import Order
from tests.chaos.record import Record, Records
from tests.chaos.timeline import Timeline

MAX_CRASHES = 3
MAX_HOST_LOSSES = 10
CLOCK_SLACK = 0.1
BEGINNING_SECONDS = 1.0
"""A job may begin so long after Redis noted its start: others of its batch come first."""
ORDER_SLACK = 1.0
SILENCE_SECONDS = 0.9
"""Of silence, by which a job that must not run twice may end: HOST_TIMEOUT less 2 s, less a beat, and a little."""
LONGEST_RUN_SECONDS = 3.0
"""Of a job that must not run twice."""


@dataclass(slots=True)
class Verdict:
    """What was found, and how much there was."""

    findings: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    """Why jobs ran again."""
    faults: Counter[str] = field(default_factory=Counter)
    """What was done to the farm."""


def judge(
    orders: Mapping[str, Order], ledger: Mapping[str, Sequence[Run]], records: Records, timeline: Timeline
) -> Verdict:
    """Everything but order, which needs a farm without faults."""
    verdict = Verdict()
    for order in orders.values():
        runs = ledger.get(order.job_id, ())
        if order.accepted or runs:
            _Case(order, runs, records, orders, timeline, verdict).judge()
        else:
            verdict.counts["never accepted"] += 1
    verdict.findings += _counts(records, verdict) if not timeline.rollbacks else ()
    verdict.findings += _losses(records, timeline)
    verdict.findings += records.left_over
    return verdict


def deviation(runs: Sequence[Run], queued: Sequence[str]) -> int:
    """How many jobs that stood behind it in the queue were started well before a job, at most.

    The fence tokens tell when: they are microseconds of Redis's clock. What a host holds and can't begin goes back
    after a fifth of a second, and a machine under load takes its time for that: so what was passed within `ORDER_SLACK`
    is not counted.
    """
    fences = {run.job_id: run.fence for run in runs}
    slack = int(ORDER_SLACK * 1e6)
    return max(
        sum(fences[behind] < fences[job_id] - slack for behind in queued[place + 1 :])
        for place, job_id in enumerate(queued)
    )


@dataclass(slots=True)
class _Case:
    """One job."""

    order: Order
    runs: Sequence[Run]
    records: Records
    orders: Mapping[str, Order]
    timeline: Timeline
    verdict: Verdict

    def judge(self) -> None:
        record = self.records.jobs.get(self.order.job_id)
        found = [*self._runs_without_reason(), *self._outcome(record), *self._recorded(record)]
        self.verdict.counts["runs"] += len(self.runs)
        self.verdict.counts["accepted"] += 1
        for text in found:
            self.verdict.findings.append(f"{self.order.job_id}: {text}\n{self._story(record)}")

    def _runs_without_reason(self) -> Iterator[str]:
        runs = self._runs_that_began_in_time()
        for run, later in itertools.pairwise(runs):
            reason = self._why_again(run, later.begun)
            self.verdict.reasons[reason or "no reason"] += 1
            if not reason:
                yield f"run {run.number} was followed by run {later.number} for no reason"
            if later.fence <= run.fence and reason != "Redis lost writes":
                yield f"run {later.number} has fence {later.fence}, the run before had {run.fence}"
        if self.order.kind == "once" and len(self.runs) > 1 and not self._is_rolled_back():
            yield "a job with on_lost=fail ran more than once"

    def _runs_that_began_in_time(self) -> list[Run]:
        """Without those that were stopped with their host before their first line, and given to another."""
        runs: list[Run] = []
        for run in self.runs:
            if any(run.fence < before.fence for before in runs) and self._woke_after_a_loss(run):
                self.verdict.reasons["its host was lost"] += 1
            else:
                runs.append(run)
        return runs

    def _woke_after_a_loss(self, run: Run) -> bool:
        return any(
            span.target == run.host and span.began <= run.begun <= span.until + BEGINNING_SECONDS
            for span in self.timeline.losses
        )

    def _why_again(self, run: Run, until: float) -> str:
        """The reason for which this run did not count, or was to be followed by another; empty if there is none."""
        if run.how == "crashed":
            return "it crashed"
        if run.how == "raised" and self.order.kind == "retried":
            return "a retry"
        return self._loss_of(run, until)

    def _loss_of(self, run: Run, until: float) -> str:
        end = self.timeline.settled_by(run.ended, run.host) if run.ended is not None else until
        last = min(end, until) + CLOCK_SLACK
        if any(run.begun - CLOCK_SLACK <= at <= last for at in self.timeline.kills.get(run.pid, ())):
            return "its process was killed"
        for spans, reason in (
            (self.timeline.losses, "its host was lost"),
            (self.timeline.drains, "its host was drained"),
        ):
            if any(span.target == run.host and span.touches(run.begun, last) for span in spans):
                return reason
        return "Redis lost writes" if self._is_rolled_back(run.begun - BEGINNING_SECONDS, last) else ""

    def _is_rolled_back(self, since: float | None = None, until: float = float("inf")) -> bool:
        start = self.order.at if since is None else since
        return any(span.touches(start, until) for span in self.timeline.rollbacks)

    def _outcome(self, record: Record | None) -> Iterator[str]:
        status = record.status if record else "gone"
        self.verdict.counts[status] += 1
        if status == "gone" and self.order.expected != "gone":
            if self._lost_with_rollback():
                self.verdict.counts["lost by AOF"] += 1
                return
            self.verdict.counts["lost"] += 1
            yield "LOST: Redis accepted it and has no record of it"
        elif status == "gone" and not any(run.how == "ended" for run in self.runs) and not self._lost_with_rollback():
            self.verdict.counts["lost"] += 1
            yield "LOST: it is gone and never came to its end"
        elif status in ("queued", "started", "scheduled"):
            self.verdict.counts["stuck"] += 1
            yield f"STUCK: it is {status} still"
        elif not self._is_right(status, record):
            yield f"it is {status}, expected was {self.order.expected}"

    def _lost_with_rollback(self) -> bool:
        return any(
            span.began - CLOCK_SLACK <= self.order.at <= span.until + CLOCK_SLACK for span in self.timeline.rollbacks
        )

    def _is_right(self, status: str, record: Record | None) -> bool:
        if status == self.order.expected:
            return status != "failed" or self.order.kind != "poisonous" or self._is_poisoned()
        if self.order.expected == "canceled" and status == "finished":
            # The cancel came too late, or was never sent: Redis had not said that it had the job.
            return bool(self.runs)
        if status == "canceled":
            return self.order.canceled
        if status == "deferred" and self.order.parent:
            parent = self.records.jobs.get(self.order.parent)
            return parent is None or parent.status != "finished"
        if status == "failed" and self.order.kind == "once":
            return all(
                run.how == "crashed" or self._loss_of(run, float("inf")) or self._may_have_expired(run)
                for run in self.runs
            )
        return status == "failed" and self._is_poisoned()

    def _may_have_expired(self, run: Run) -> bool:
        """Whether it was ended by its own host, which could not renew its lease for long enough."""
        return run.ended is None and any(
            span.target in ("", "redis", run.host)
            and span.until - span.began >= SILENCE_SECONDS
            and span.touches(run.begun, run.begun + LONGEST_RUN_SECONDS)
            for span in self.timeline.troubles
        )

    def _is_poisoned(self) -> bool:
        """Whether this many of its runs ended with their process, or with their host."""
        crashes = losses = 0
        for run, until in zip(self.runs, [*(later.begun for later in self.runs[1:]), float("inf")], strict=True):
            reason = self._why_again(run, until)
            crashes += reason in ("it crashed", "its process was killed")
            losses += reason == "its host was lost"
        if crashes + losses < MAX_CRASHES:
            return False
        return crashes >= MAX_CRASHES or losses > MAX_HOST_LOSSES or self.order.kind == "poisonous"

    def _recorded(self, record: Record | None) -> Iterator[str]:
        if record is None:
            return
        if record.outcomes > 1:
            self.verdict.counts["recorded twice"] += 1
            yield f"its outcome was recorded {record.outcomes} times"
        if record.status in ("finished", "failed") and record.outcomes == 0:
            yield f"it is {record.status} and has no result"
        expected = record.places_expected
        if self.order.canceled:  # by RQ's own code, which tells nobody who ran it meanwhile: it may have ended as well
            expected = tuple(place for place in record.places if place in ("canceled", "finished"))
        if record.places != expected:
            yield f"it is {record.status} and stands in {record.places}, expected {expected}"

    def _story(self, record: Record | None) -> str:
        start = self.timeline.started
        lines = [f"    ordered at {self.order.at - start:.2f} s, {record}"]
        for run in self.runs:
            ended = f"{run.how} at {run.ended - start:.2f} s" if run.ended is not None else "without end"
            lines.append(
                f"    run {run.number} (attempt {run.attempt}, fence {run.fence}) on {run.host}, pid {run.pid}: "
                f"begun at {run.begun - start:.2f} s, {ended}"
            )
        return "\n".join(lines)


def _counts(records: Records, verdict: Verdict) -> Iterator[str]:
    """What the farm counted, and what is recorded."""
    finished = sum(job.successes for job in records.jobs.values()) + verdict.counts["gone"]
    failed = sum(job.failures for job in records.jobs.values())
    for what, recorded in (("finished", finished), ("failed", failed)):
        if records.counted[what] != recorded:
            yield f"the farm counts {records.counted[what]} {what}, and {recorded} are recorded"


def _losses(records: Records, timeline: Timeline) -> Iterator[str]:
    """Hosts that were given up without having been silent for long enough."""
    for host, at in records.hosts_lost:
        if not any(
            span.target == host and span.touches(at - 20.0, at) for span in [*timeline.losses, *timeline.drains]
        ):
            yield f"host {host} was given up at {at - timeline.started:.2f} s, and nothing had happened to it"
