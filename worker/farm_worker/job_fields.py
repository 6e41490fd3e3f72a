"""How log lines name a job: in text, and as names of a JSON line."""

from collections.abc import Sequence
from typing import Any

from farm_worker.pool.assignment import function_name


def shown(job_id: bytes) -> str:
    """The id, readable whatever it is."""
    return job_id.decode(errors="backslashreplace")


def bound(job_id: bytes, queue: str, attempt: int, fields: Sequence[bytes]) -> dict[str, Any]:
    """What each line about one attempt has. `fields`: the job's hash, flat."""
    return {"job": shown(job_id), "queue": queue, "function": called(fields), "attempt": attempt}


def called(fields: Sequence[bytes]) -> str:
    """What the job says it calls, without the arguments: they may be anything, secrets too. Empty if unreadable."""
    name = function_name(fields) or ""
    return name if name.isprintable() else ""
