"""One job that was given to a process."""

from dataclasses import dataclass


@dataclass(slots=True)
class Assignment:
    """A started job, as the host handed it to the pool, and what the pool knows about it since."""

    job_id: bytes
    token: str
    """The lease's token, 32 hex digits; also the id of the execution."""
    queue: str
    attempt: int
    on_lost: str
    """`rerun` or `fail`: what becomes of the job if its process or host is lost."""
    timeout: float | None
    """Seconds that the job may run. None: no limit."""
    fields: list[bytes]
    """The job's hash, flat: name, value, name, value …"""
    callback_timeout: float = 0.0
    """Seconds that its success or failure callback may run after it, by RQ a limit of its own."""
    sequence: int = 0
    """Given by the pool at each dispatch: grows, unique within the pool."""
    dispatched_at: float = 0.0
    """Monotonic seconds; set at dispatch."""
    begun_at: float | None = None
    """Monotonic seconds, an estimate: the dispatch if the process was idle, else the end of the job before it."""
    recorded: bool = False
    """True once its execution record is written."""
