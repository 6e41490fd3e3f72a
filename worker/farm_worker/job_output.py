"""What jobs print and log, as lines of the host's log: each says which job said it."""

import logging
from typing import Any

from farm_worker.job_fields import bound, function, shown
from farm_worker.pool.allowance import HOST, Allowance
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.output_lines import NOTHING, mark
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Output

UUID_CHARACTERS = 36
UUID_HEAD = 8
MAX_ID_CHARACTERS = 36
TELL_SECONDS = 1.0

_logger = logging.getLogger("farm.job")


class JobOutput:
    """Writes lines as long as all jobs of the host together do not say too much; counts the others."""

    def __init__(self) -> None:
        self._allowance = Allowance(HOST)
        self._missed = NOTHING
        self._told_at = 0.0

    def show(self, process: ProcessHandle, assignment: Assignment | None, output: Output) -> None:
        """A process said this; `assignment`: for this job."""
        if not _logger.isEnabledFor(output.level):
            return
        lines, size = output.dropped
        size = size or len(output.text) + len(output.exception)
        if not self._allowance.take(0 if output.dropped != NOTHING else size):
            self._missed = (self._missed[0] + (lines or 1), self._missed[1] + size)
            return
        self._write(process, assignment, output)

    def tick(self, now: float) -> None:
        """Says, once a second at most, how much was left out."""
        if self._missed is not NOTHING and now - self._told_at >= TELL_SECONDS:
            _logger.warning("%s: together the jobs of this host say too much", mark(self._missed))
            self._missed, self._told_at = NOTHING, now

    def _write(self, process: ProcessHandle, assignment: Assignment | None, output: Output) -> None:
        text = output.text if output.dropped == NOTHING else mark(output.dropped)
        record = _logger.makeRecord(_logger.name, output.level, "", 0, text, (), None)
        record.exc_text = output.exception or None
        record.prefix = self._prefix(process, assignment, output)
        record.fields = _fields(process, assignment, output)
        _logger.handle(record)

    def _prefix(self, process: ProcessHandle, assignment: Assignment | None, output: Output) -> str:
        logger = f"{output.logger}: " if output.logger not in ("", "root") else ""
        if assignment is None:
            return f"[process {process.number}] {logger}"
        job_id = shown(assignment.job_id)
        if assignment.introduced:
            job_id = _short(job_id)
        assignment.introduced = True
        words = [f"{assignment.queue}/{function(assignment.called) or '?'}", job_id]
        if assignment.attempt > 1:
            words.append(f"attempt {assignment.attempt}")
        return f"[{' '.join(words)}] {logger}"


def _fields(process: ProcessHandle, assignment: Assignment | None, output: Output) -> dict[str, Any]:
    job: dict[str, Any] = {}
    if assignment is not None:
        job = bound(assignment.job_id, assignment.queue, assignment.attempt, assignment.called)
    fields = job | {"process": process.number, "pid": process.pid, "stream": output.source}
    if output.logger:
        fields["job_logger"] = output.logger
    if output.dropped != NOTHING:
        fields["lines_not_shown"], fields["characters_not_shown"] = output.dropped
    return output.fields | fields


def _short(job_id: str) -> str:
    """Enough to tell it from others: the head of RQ's own ids, whose whole stands in the first line of the job."""
    if len(job_id) == UUID_CHARACTERS and job_id.count("-") == 4:
        return job_id[:UUID_HEAD]
    return job_id if len(job_id) <= MAX_ID_CHARACTERS else f"{job_id[: MAX_ID_CHARACTERS - 1]}…"
