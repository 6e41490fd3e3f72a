"""What can be done with a job that is in Redis: looked at, waited for, canceled, enqueued anew, deleted."""

import math
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, cast

from rq.command import send_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job

from farm.client.results import not_found
from farm.client.rq_queue import ClientJob
from farm.errors import JobError
from farm.store.connection import REDIS_ERRORS, raise_readable, readable_errors
from farm.store.evidence import Evidence
from farm.store.job_reader import Connection, JobReader
from farm.store.job_status import JobStatus, Outcome, Progress
from farm.store.requeueing import RequeueStore

Canceled = Literal["canceled", "stopping", "ended", "running"]
"""What was done. `canceled`: it will not run. `stopping`: its host was told to stop it. `ended`: nothing was left.
`running`: it runs, and was left alone, as `stop=False` asks for.
"""


BLOCKED_READS = 32
"""Waiters of one client that get a connection of their own, at most half of its pool; the others look now and then."""

FIRST_PAUSE_SECONDS = 0.02


def pause_after(looks: int) -> float:
    """Seconds until the next look of one who waits without a connection."""
    return FIRST_PAUSE_SECONDS * 2.0 ** min(looks, 10)


class Jobs:
    """The jobs of one Redis, by id. Raises RedisError when it does not answer."""

    def __init__(self, connection: Connection, reader: JobReader, requeueing: RequeueStore, url: str) -> None:
        self._connection = connection
        self._reader = reader
        self._requeueing = requeueing
        self._url = url
        most = connection.connection_pool.max_connections
        self._free_reads = deque(range(max(1, min(BLOCKED_READS, most // 2))))

    def status(self, job_id: str) -> JobStatus:
        """Raises JobNotFound."""
        with readable_errors(self._url):
            status = self._reader.status(job_id)
        if status is None:
            raise not_found(job_id)
        return status

    def status_or_none(self, job_id: str) -> JobStatus | None:
        """None when there is no such job."""
        with readable_errors(self._url):
            return self._reader.status(job_id)

    def progress(self, job_id: str) -> Progress | None:
        """What its code said last of how far it is. Raises JobNotFound."""
        return self.status(job_id).progress

    def evidence(self, job_id: str) -> tuple[Evidence, ...]:
        """What is known of the processes and hosts that ended under it. Raises JobNotFound."""
        return self.status(job_id).evidence

    def outcome(self, job_id: str) -> Outcome:
        """How it ended, or that it did not yet. Raises JobNotFound."""
        with readable_errors(self._url):
            outcome = self._reader.outcome(job_id)
        if outcome.status is None:
            raise not_found(job_id)
        return outcome

    def wait(self, job_id: str, after: str | None, seconds: float, looks: int = 0) -> Outcome | None:
        """Returns when a result newer than `after` is there, or after `seconds`; with it, if it is a success.

        Each wait holds a connection. Where many wait at once, the others look now and then: after a pause that is the
        longer, the more `looks` there were.
        """
        try:
            read = self._free_reads.pop()
        except IndexError:
            time.sleep(min(seconds, pause_after(looks)))
            return None
        try:
            return self._reader.wait(job_id, after, seconds)
        except REDIS_ERRORS as error:
            raise_readable(error, self._url)
        finally:
            self._free_reads.append(read)

    def wait_command(self, job_id: str, after: str | None, seconds: float) -> tuple[str | int, ...]:
        """What `wait` asks Redis."""
        return self._reader.wait_command(job_id, after, seconds)

    def cancel(self, job_id: str, grace: float | None = None, *, stop: bool = True) -> Canceled:
        """Keeps a waiting job from running, as RQ's cancel does; with `stop`, has the host of a running one stop it.

        With `grace` a running one is asked to end first, and stopped after so many seconds. Raises ValueError for a
        `grace` that is no length of time.
        """
        if grace is not None and not 0 <= grace < math.inf:
            raise ValueError(f"grace={grace}: give seconds, 0 or more, or None to stop the job at once")
        with readable_errors(self._url), _known(job_id):
            key = Job.key_for(job_id)
            job = ClientJob.fetch(job_id, connection=self._connection)
            if job.has_rate_limit and not (job.is_started or _has_ended(job)):
                job.cancel()  # RQ refuses a caller's transaction here
                return "canceled"
            attempt: Any = partial(self._cancel_unchanged, job_id, grace, stop)
            return cast("Canceled", self._connection.transaction(attempt, key, value_from_callable=True))

    def requeue(self, job_id: str) -> None:
        """Puts a failed or stopped job at the end of its queue. Raises JobNotFound, and JobError for any other."""
        with readable_errors(self._url):
            (answer,) = self._requeueing.requeue([job_id])
        if answer.outcome == "gone":
            raise not_found(job_id)
        if answer.outcome != "requeued":
            raise JobError(answer.refusal())

    def delete(self, job_id: str) -> None:
        """Takes the job and its results out of Redis, as RQ's delete does. Raises JobNotFound."""
        with readable_errors(self._url), _known(job_id):
            ClientJob.fetch(job_id, connection=self._connection).delete()

    def _cancel_unchanged(self, job_id: str, grace: float | None, stop: bool, pipeline: Any) -> Canceled:
        """One try, with the job's hash watched: a job that starts meanwhile is stopped, not marked."""
        job = ClientJob.fetch(job_id, connection=self._connection)
        if _has_ended(job):
            pipeline.unwatch()
            return "ended"
        if job.get_status(refresh=False) == "started":
            pipeline.unwatch()  # what was asked for is not asked anew because the job's record changes
            if not stop:
                return "running"
            self._stop(job_id, job.worker_name or "", grace)
            return "stopping"
        pipeline.multi()
        job.cancel(pipeline=pipeline)
        return "canceled"

    def _stop(self, job_id: str, worker: str, grace: float | None) -> None:
        # A worker of plain RQ passes over commands that it does not know: the job would never be stopped there.
        if grace is not None and self._reader.runs_on_host(worker):
            send_command(self._connection, worker, "cancel-job", job_id=job_id, grace=grace)
        else:
            send_command(self._connection, worker, "stop-job", job_id=job_id)


def _has_ended(job: Job) -> bool:
    return job.get_status(refresh=False) in {"finished", "failed", "stopped", "canceled"}


@contextmanager
def _known(job_id: str) -> Iterator[None]:
    try:
        yield
    except (NoSuchJobError, InvalidJobOperation) as error:
        raise not_found(job_id) from error
    except ValueError as error:
        raise JobError(f"the record of job {job_id} cannot be read: {error}. Look at it with `farm job`.") from error
