"""Which healthy processes are replaced, and how failing warm-ups are held back. Values in, value out."""

from dataclasses import dataclass

STAGGER = 0.1
"""Processes that started together would all be replaced together: each takes up to a tenth off its limits."""
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 60.0
"""A process that is spawned costs about 0.4 s of CPU: hosts that fail for hours stay near 1 % of a core."""
UNHEALTHY_AFTER = 3
"""Failed rounds of warm-ups in a row after which the host says that it can't run jobs."""
_BYTES_PER_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Lifespan:
    """How long one process serves. None: no limit."""

    jobs: int | None
    age: float | None
    memory: float | None
    """Bytes."""

    def is_over(self, age: float, memory: int | None) -> str:
        """Why the process is to be replaced after its job, empty if it is not. Jobs are counted at dispatch."""
        if self.age is not None and age >= self.age:
            return f"it is older than MAX_PROCESS_AGE ({self.age:.0f} s)"
        if self.memory is not None and memory is not None and memory >= self.memory:
            return f"it uses more than RECYCLE_MEMORY_MB ({self.memory / _BYTES_PER_MB:g})"
        return ""


def lifespan(max_jobs: int | None, max_age: float | None, memory_mb: float | None, *, stagger: float) -> Lifespan:
    """The limits of one process; `stagger` is a random number from 0 to 1. 0 and None mean no limit."""
    share = 1 - STAGGER * stagger
    return Lifespan(
        jobs=max(1, round(max_jobs * share)) if max_jobs else None,
        age=max_age * share if max_age else None,
        memory=memory_mb * _BYTES_PER_MB if memory_mb else None,
    )


@dataclass(frozen=True, slots=True)
class WarmUps:
    """How the warm-ups went lately."""

    failures: int = 0
    """Failed rounds since the last success. Processes spawned before a failure belong to its round."""
    error: str = ""
    failed_at: float = 0.0
    retry_at: float = 0.0

    def after_failure(self, spawned_at: float, now: float, error: str, jitter: float) -> "WarmUps":
        """`jitter` is a random number from 0 to 1: the delay is between half of it and all of it."""
        if self.failures and spawned_at <= self.failed_at:
            return WarmUps(self.failures, error, self.failed_at, self.retry_at)
        failures = self.failures + 1
        delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2.0 ** min(failures - 1, 10))
        return WarmUps(failures, error, now, now + delay * (0.5 + jitter / 2))

    def allowed(self, starting: int, at_once: int, now: float) -> int:
        """How many more may start now, `starting` being under way. After a failure: one at a time, with a delay."""
        if not self.failures:
            return max(0, at_once - starting)
        return 1 if starting == 0 and now >= self.retry_at else 0

    @property
    def unhealthy_reason(self) -> str | None:
        """Why no process becomes ready; None while that is not established."""
        if self.failures < UNHEALTHY_AFTER:
            return None
        return f"{self.failures} warm-ups in a row failed, the last one: {self.error}"
