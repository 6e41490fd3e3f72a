"""Webhooks of a job go out when Redis has its outcome: whom they tell may read it at once."""

import logging
import time
from typing import Any

from rq.job import Job

from farm.store.connection import REDIS_ERRORS

PATIENCE_SECONDS = 60.0
"""For how long an outcome may be on its way: it waits with the host while Redis is away."""
FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.0005, 0.5

_logger = logging.getLogger("farm_worker")


def send_webhooks(job: Job, kind: str, ended_at: bytes, error_text: str, connection: Any) -> None:
    """Sends those for `kind` of outcome, each with its own timeout. RQ logs what goes wrong.

    `ended_at` as the record of this attempt has it. A job that is given to others meanwhile sends none: they do.
    """
    if not any(webhook.job_status == kind for webhook in job.webhooks):
        return
    if _is_recorded(job, ended_at, connection):
        job.send_webhooks(kind, exc_string=error_text)
    else:
        _logger.warning("webhooks of job %s are not sent: Redis does not have its outcome", job.id)


def _is_recorded(job: Job, ended_at: bytes, connection: Any) -> bool:
    """Waits for the outcome. A record that is gone is one: the job is not kept."""
    deadline, wait = time.monotonic() + PATIENCE_SECONDS, FIRST_WAIT_SECONDS
    while time.monotonic() < deadline:
        try:
            kept = connection.hget(job.key, "ended_at")
            if kept == ended_at or (kept is None and not connection.exists(job.key)):
                return True
        except REDIS_ERRORS:
            wait = LONGEST_WAIT_SECONDS
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)
    return False
