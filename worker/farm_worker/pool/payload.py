"""The payload of a large job: its process gets it from Redis, when the job is about to begin.

The job can be given back until it is there. So if Redis is away, or the job was deleted or enqueued anew since its
start, nothing is made of that here: the job goes back, and what is to become of it is decided there.
"""

import logging
import time
from math import inf

from farm.store.connection import REDIS_ERRORS
from farm_worker.pool.equipment import Equipment
from farm_worker.pool.record import to_record

PATIENCE_SECONDS = 5.0
"""How long Redis is asked again. A single try may take 8 s more, until a silent server is given up."""
PAUSE_SECONDS = 0.1

_logger = logging.getLogger("farm_worker")


def add_payload(fields: list[bytes], job_id: bytes, equipment: Equipment) -> bool:
    """Puts it into the job's hash, which is flat. False: the job is to go back."""
    record = to_record(fields)
    accepted = record.get(b"created_at", b"") + record.get(b"enqueued_at", b"")
    payload = _read(equipment, job_id, accepted)
    if payload is not None:
        fields[2 * fields[::2].index(b"data") + 1] = payload
    return payload is not None


def _read(equipment: Equipment, job_id: bytes, accepted: bytes) -> bytes | None:
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.0
    while True:
        try:
            return equipment.payloads.read(job_id, accepted)
        except REDIS_ERRORS as error:
            if time.monotonic() >= deadline or equipment.alarm.stops_at < inf:
                name = job_id.decode(errors="replace")
                _logger.warning("job %s goes back, its payload could not be read: %s", name, error)
                return None
        time.sleep(pause)  # not at first: a server closes connections that were idle for long
        pause = PAUSE_SECONDS
