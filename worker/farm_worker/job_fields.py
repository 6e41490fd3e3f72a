"""How log lines name a job: in text, and as names of a JSON line."""

from typing import Any


def shown(job_id: bytes) -> str:
    """The id, readable whatever it is."""
    return job_id.decode(errors="backslashreplace")


def bound(job_id: bytes, queue: str, attempt: int, called: bytes) -> dict[str, Any]:
    """What each line about one attempt has. `called`: the head of the job's description."""
    return {"job": shown(job_id), "queue": queue, "function": function(called), "attempt": attempt}


def function(called: bytes) -> str:
    """What the job says it calls, without the arguments: they may be anything, secrets too. Empty if unreadable."""
    name = called.decode("utf-8", "replace").strip()
    return name if name.isprintable() else ""
