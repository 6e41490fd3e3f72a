"""A job that was enqueued, as the one who enqueued it sees it."""

import time
from typing import Any, Generic, TypeVar

from farm.client.jobs import Canceled, Jobs
from farm.client.results import timed_out, value_of
from farm.store.evidence import Evidence
from farm.store.job_status import JobStatus, Outcome, Progress

Result = TypeVar("Result")

RECHECK_SECONDS = 1.0
"""A result wakes who waits at once; what leaves none (a cancel, a delete) is noticed after this."""


def seconds_left(deadline: float | None) -> float:
    """Until the deadline or the next look, whichever is earlier."""
    return RECHECK_SECONDS if deadline is None else min(RECHECK_SECONDS, deadline - time.monotonic())


class JobHandle(Generic[Result]):
    """One job. Holds an id; each method asks Redis. Every method raises RedisError when Redis does not answer."""

    def __init__(self, jobs: Jobs, job_id: str, serializer: Any = None, *, first_of_its_id: bool = False) -> None:
        """`first_of_its_id`: it was just enqueued, under an id that no job had before, and is not to be repeated.

        So a success among its results is its end. Under another id it may be that of an earlier job.
        """
        self.id = job_id
        self.jobs = jobs
        self.serializer = serializer
        self.first_of_its_id = first_of_its_id
        self._made_at = time.monotonic()

    def waits_first(self, timeout: float | None) -> bool:
        """True when it was enqueued a moment ago: most likely it has not ended, so a wait begins without a look."""
        is_new = self.first_of_its_id and time.monotonic() - self._made_at < RECHECK_SECONDS
        return is_new and (timeout is None or timeout > 0)

    def result(self, timeout: float | None = None) -> Result:
        """What the function returned. Waits until the job ends, at most `timeout` seconds; 0 only looks.

        The value is decoded with the serializer of the queue. RQ's default is pickle, which runs what it is told to:
        whoever may write to this Redis may run code here. `serializer="json"` does not.
        Raises JobFailed (failed, stopped, canceled) with the traceback as its text, ResultTimeout, JobNotFound.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        outcome = self._wait(None, seconds_left(deadline)) if self.waits_first(timeout) else self.jobs.outcome(self.id)
        looks = 0
        while not outcome.ended:
            left = seconds_left(deadline)
            if left <= 0:
                raise timed_out(self.id, timeout or 0, self.jobs.status_or_none(self.id))
            outcome = self._wait(outcome.entry, left, looks)
            looks += 1
        value: Result = value_of(self.id, outcome, self.serializer)
        return value

    def _wait(self, after: str | None, seconds: float, looks: int = 0) -> Outcome:
        """How it ended, or that it did not, when there is a result newer than `after`, or after `seconds`."""
        success = self.jobs.wait(self.id, after, seconds, looks)
        return success if success is not None and self.first_of_its_id else self.jobs.outcome(self.id)

    def status(self) -> JobStatus:
        """Where it is. Raises JobNotFound."""
        return self.jobs.status(self.id)

    def progress(self) -> Progress | None:
        """What its code said last of how far it is; None if it said nothing. Up to a beat of its host old.

        Raises JobNotFound.
        """
        return self.jobs.progress(self.id)

    def evidence(self) -> tuple[Evidence, ...]:
        """The processes and hosts that ended while they ran it, the last ten, oldest first. Raises JobNotFound."""
        return self.jobs.evidence(self.id)

    def cancel(self, grace: float | None = None, *, stop: bool = True) -> Canceled:
        """Keeps it from running; a running one is stopped by its host, which takes a moment. Returns what was done.

        With `stop=False` a running one is left alone.

        `grace`: seconds in which a running job may end by itself; it sees `farm.current_job().is_cancelled`. None stops
        it at once; so does a worker of plain RQ. Raises JobNotFound.
        """
        return self.jobs.cancel(self.id, grace, stop=stop)

    def requeue(self) -> None:
        """Puts it at the end of its queue after it failed or was stopped; crashes and lost hosts are forgotten.

        Raises JobNotFound, and JobError if it has not failed.
        """
        self.jobs.requeue(self.id)

    def delete(self) -> None:
        """Takes it and its results out of Redis. Raises JobNotFound."""
        self.jobs.delete(self.id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"
