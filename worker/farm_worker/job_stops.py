"""Ends single jobs on request, wherever in the host they are."""

import asyncio
import logging
from collections.abc import Callable

from farm_worker.endings import stopped_ending
from farm_worker.held import Held
from farm_worker.outcomes import Outcomes
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.pool import Pool
from farm_worker.pool.reasons import Reason

_logger = logging.getLogger("farm.execution")


class JobStops:
    """Of one host. False from its methods: it does not have the job."""

    def __init__(self, pool: Callable[[], Pool], held: Held, outcomes: Outcomes, wake: asyncio.Event) -> None:
        self._pool = pool
        self._held = held
        self._outcomes = outcomes
        self._wake = wake

    def stop(self, job_id: bytes) -> bool:
        """Ends it now: its process is killed, or its coroutine cancelled, or it is never begun."""
        return (
            self._pool().kill_job(job_id, Reason.STOPPED)
            or self._withdraw(job_id)
            or self._pool().kill_job(job_id, Reason.STOPPED)  # begun in between
        )

    def cancel(self, job_id: bytes, grace: float) -> bool:
        """Asks it to end by itself; after `grace` seconds it is stopped. One that was not begun is stopped at once."""
        if self._withdraw(job_id):
            return True
        process = self._pool().find(job_id)
        begun = process.find_running(job_id) if process is not None else None
        if process is None or begun is None:
            return False
        process.cancel(job_id, f"canceled, to be stopped in {grace:g} s")
        asyncio.get_running_loop().call_later(grace, self._stop_attempt, begun)
        return True

    def _withdraw(self, job_id: bytes) -> bool:
        """Stops a job that no process has begun. False if there is none of this id."""
        process = self._pool().find(job_id)
        self._held.put_first(process.take_back() if process else ())
        stopped = self._held.take(job_id)
        self._outcomes.add(*map(stopped_ending, stopped))
        self._wake.set()
        return bool(stopped)

    def _stop_attempt(self, attempt: Assignment) -> None:
        """The grace of a canceled job is over. It may have ended, and run again since: that is another attempt."""
        process = self._pool().find(attempt.job_id)
        if process is not None and process.find_running(attempt.job_id) is attempt:
            _logger.info("job %s did not end by itself and is stopped", attempt.job_id.decode(errors="replace"))
            process.stop(attempt, Reason.STOPPED)
