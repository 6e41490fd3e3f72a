"""One job that was given to a process."""

from math import inf

import msgspec

from farm.packed import unpack_hash
from farm.store.job_status import Progress
from farm_worker.pool.protocol import RunJob
from farm_worker.pool.reasons import Reason

FUNCTION_LENGTH = 200
READING_SECONDS = 20.0
"""Longer than a process asks Redis for a payload, see `pool.payload`: it says itself that it could not get it."""


class Assignment(msgspec.Struct):
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
    packed: bytes
    """The job's hash in MessagePack: only its process has to look into it."""
    called: bytes = b""
    """What its description says that it calls."""
    is_large: bool = False
    """Its payload is not in `packed`: its process reads it from Redis before the job begins."""
    is_long: bool = False
    """Nothing may wait behind it, as it takes, or has taken, longer than jobs may wait."""
    least_seconds: float = 0.0
    """What it takes if nothing holds it up, as far as known. 0: nothing is known."""
    expires_at: float = 0.0
    """When its lease may be taken away, as known at its dispatch, see `expiry`. 0: no such time."""
    follow_up: str = ""
    """Not a job to run, but one that ended, `stopped` or `failed`, without its process: see `pool.follow_up`."""
    alone: bool = False
    """It ended a process before: it gets one to itself, and none of it is used again."""
    callback_timeout: float = 0.0
    """Seconds that its success or failure callback may run after it, by RQ a limit of its own."""
    sequence: int = 0
    """Given by the pool at each dispatch: grows, unique within the pool. 0: it was sent to no process yet."""
    dispatched_at: float = 0.0
    """Monotonic seconds; set at dispatch."""
    overdue_at: float = inf
    """Monotonic seconds: when it is to be over, its time to unwind included. `inf` while it has not begun."""
    apart: bool = False
    """It came back from a process where others ran side by side: it is no coroutine, and runs beside none."""
    stopped_for: Reason | None = None
    """Why it was asked to end, so that those beside it go on."""
    begun_at: float | None = None
    """Monotonic seconds, an estimate: the dispatch if the process was idle, else the end of the job before it."""
    recorded: bool = False
    """True once its execution record is written."""
    progress: Progress | None = None
    """What the job said last of how far it is."""
    kept_progress: Progress | None = None
    """What of that is in Redis."""
    drained: bool = False
    """True once it ended only because its host stops: that is counted when it goes back."""
    offered: bool = False
    """The app is asked whether this host accepts it: no process gets it before that is known."""
    declined: str = ""
    """Why this host does not run it. Empty: nobody said that it does not."""
    grown: int = 0
    """Bytes: by so much its process has grown for it at most, with all that it started, as sampled while it ran."""
    cpu_seconds: float = 0.0
    """That it had used when that was sampled last."""
    samples: int = 0
    """How often it was sampled while it ran."""
    introduced: bool = False
    """True once a line of its output was logged, with its whole id."""

    @property
    def fields(self) -> list[bytes]:
        """The job's hash, flat: name, value, name, value … Costs more than all else that a host does for a job."""
        return unpack_hash(self.packed)

    @property
    def function(self) -> str | None:
        """What its description begins with: by default the function, as in `shop.bill(7)`. None: it has none."""
        return self.called.decode("utf-8", "replace").strip()[:FUNCTION_LENGTH] or None

    @property
    def seconds_beside(self) -> float:
        """What it may take on top of `timeout`: for its callbacks, and until its payload is there."""
        return self.callback_timeout + (READING_SECONDS if self.is_large else 0.0)

    @property
    def is_sampled(self) -> bool:
        """Whether `grown` and `cpu_seconds` are known: they are differences of samples."""
        return self.samples > 1

    @property
    def must_not_run_twice(self) -> bool:
        """Whether it has to be over before others may be given it."""
        return self.on_lost == "fail"

    def message(self) -> RunJob:
        """What its process is told."""
        return RunJob(
            self.sequence,
            self.job_id,
            self.token,
            self.queue,
            self.attempt,
            self.packed,
            self.expires_at,
            self.must_not_run_twice,
            self.follow_up,
            self.is_large,
        )
