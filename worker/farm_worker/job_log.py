"""Log lines about single jobs: failures always, the rest only as long as a person can read along."""

import logging
import math
import time
from typing import Any

from farm.ending import Ending
from farm.store.started import StartedJob
from farm_worker.job_fields import bound, function, shown
from farm_worker.pool.assignment import Assignment

LINES_PER_SECOND = 20

_NO_END = ("again", "recovered", "refused", "deleted", "stopped")
"""Answers after which nobody has to look for what went wrong."""

_WORDS = {"again": "retry"}
"""Answers whose name says too little on its own."""

_logger = logging.getLogger("farm.jobs")


class JobLog:
    """Writes what LOG_JOBS asks for.

    `limited`: up to `LINES_PER_SECOND`, then one line with the number left out. `all`, or `failures` alone.
    """

    def __init__(self, log_jobs: str) -> None:
        self._limit = {"failures": 0, "all": math.inf}.get(log_jobs, LINES_PER_SECOND)
        self._counts_left_out = log_jobs != "failures"
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def started(self, job: StartedJob | Assignment) -> None:
        """A job was handed to a process."""
        if self._may_write():
            fields = bound(job.job_id, job.queue, job.attempt, job.called)
            words = (shown(job.job_id), function(job.called), f"queue={job.queue}", f"attempt={job.attempt}")
            _logger.info("started %s", " ".join(filter(None, words)), extra={"fields": {**fields, "event": "started"}})

    def declined(self, job: Assignment, reason: str) -> None:
        """The app says that this host does not run it."""
        if self._may_write():
            fields = {**bound(job.job_id, job.queue, job.attempt, job.called), "event": "declined", "reason": reason}
            text = "declined %s queue=%s: %s"
            _logger.info(text, shown(job.job_id), job.queue, reason, extra={"fields": fields})

    def ended(self, ending: Ending, answer: str) -> None:
        """Redis accepted (or refused) how a job ended."""
        if answer in ("finished", "again") and ending.kind == "finished":
            if self._may_write():
                text = "finished %s queue=%s seconds=%.3f"
                _logger.info(text, shown(ending.job_id), ending.queue, ending.seconds, extra=_extra(ending, "finished"))
            return
        job_id, word = shown(ending.job_id), _WORDS.get(answer, answer)
        text = f"{word} {job_id} queue={ending.queue} seconds={ending.seconds:.3f}: {ending.summary}"
        if answer in _NO_END:
            _logger.warning("%s", text, extra=_extra(ending, word))
        else:
            _logger.error("%s (traceback: farm job %s --traceback)", text, job_id, extra=_extra(ending, word))

    def tick(self, now: float) -> None:
        """Says how many lines were left out in the second that passed."""
        second = int(now)
        if second != self._second:
            if self._left_out and self._counts_left_out:
                _logger.info("%d more jobs started or finished", self._left_out)
            self._second, self._lines, self._left_out = second, 0, 0

    def _may_write(self) -> bool:
        if self._lines >= self._limit:
            # Under load this line is all that a job costs here; the beat calls `tick`.
            self._left_out += 1
            return False
        self.tick(time.monotonic())
        self._lines += 1
        return True


def _extra(ending: Ending, word: str) -> dict[str, Any]:
    fields = bound(ending.job_id, ending.queue, ending.attempt, ending.called)
    return {"fields": {**fields, "event": word, "seconds": round(ending.seconds, 6)}}
