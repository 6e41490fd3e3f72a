"""Log lines about single jobs: failures always, the rest only as long as a person can read along."""

import logging
import math
import time

from farm.store.execution import Ending, StartedJob

LINES_PER_SECOND = 20

_NO_END = ("again", "recovered", "refused", "deleted", "stopped")
"""Answers after which nobody has to look for what went wrong."""

_WORDS = {"again": "retry"}
"""Answers whose name says too little on its own."""

_NAME_LIMIT = 80

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

    def started(self, job: StartedJob) -> None:
        """A job was handed to a process."""
        if self._may_write():
            shown, called = _shown(job.job_id), _called(job.fields)
            _logger.info("started %s %squeue=%s attempt=%d", shown, called, job.queue, job.attempt)

    def ended(self, ending: Ending, answer: str) -> None:
        """Redis accepted (or refused) how a job ended."""
        if answer in ("finished", "again") and ending.kind == "finished":
            if self._may_write():
                _logger.info("finished %s queue=%s seconds=%.3f", _shown(ending.job_id), ending.queue, ending.seconds)
            return
        job_id = _shown(ending.job_id)
        text = (
            f"{_WORDS.get(answer, answer)} {job_id} queue={ending.queue} seconds={ending.seconds:.3f}: {ending.summary}"
        )
        if answer in _NO_END:
            _logger.warning("%s", text)
        else:
            _logger.error("%s (traceback: farm job %s --traceback)", text, job_id)

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


def _shown(job_id: bytes) -> str:
    return job_id.decode(errors="backslashreplace")


def _called(fields: list[bytes]) -> str:
    """What the job says it calls, without the arguments: they may be anything, secrets too."""
    description = dict(zip(fields[::2], fields[1::2], strict=False)).get(b"description", b"")
    name = description.partition(b"(")[0][:_NAME_LIMIT].decode(errors="replace").strip()
    return f"{name} " if name and name.isprintable() else ""
