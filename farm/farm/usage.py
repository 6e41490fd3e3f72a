"""What a job has used so far, measured inside its process."""

import time
from dataclasses import dataclass
from datetime import datetime

from farm.account import Account, resident

DATE_LENGTH = 27
"""Of a date as RQ writes it."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a job has used from its start until now. See docs/usage.md for jobs that run side by side."""

    cpu_seconds: float
    """User and system time of the process, to 10 ms, and of the children that it waited for."""
    wall_seconds: float
    memory: int
    """Bytes that the process holds in memory now, with what it shares with other processes."""
    peak: int
    """The most bytes that it held since the job began; where the kernel can't tell that (not Linux), ever."""
    user_seconds: float = 0.0
    """The parts of `cpu_seconds`."""
    system_seconds: float = 0.0
    children_seconds: float = 0.0
    wait_seconds: float | None = None
    """From when the job was enqueued, by the clock of who did it, to its start. None: the job does not say."""


class Meter:
    """Measures from its creation on; CPU times from up to their resolution before it."""

    __slots__ = ("_account", "_begun", "_wall")

    def __init__(self, account: Account) -> None:
        """`account`: where the job has begun already."""
        self._account = account
        self._begun = account.shares
        self._wall = time.monotonic()

    def read(self, enqueued_at: bytes = b"") -> Usage:
        """What was used since. `enqueued_at`: as RQ writes it."""
        now, account, begun = time.monotonic(), self._account, self._begun
        account.read(now)
        user, system, children = (max(0.0, last - first) for last, first in zip(account.shares, begun, strict=True))
        wall = now - self._wall
        enqueued = unix_seconds(enqueued_at)
        memory = resident()
        return Usage(
            cpu_seconds=user + system + children,
            wall_seconds=wall,
            memory=memory,
            peak=max(memory, account.peak),
            user_seconds=user,
            system_seconds=system,
            children_seconds=children,
            wait_seconds=None if enqueued is None else max(0.0, time.time() - wall - enqueued),
        )


def unix_seconds(date: bytes) -> float | None:
    """A date as RQ writes it; None for what is none."""
    try:
        return datetime.fromisoformat(date.decode()).timestamp()
    except ValueError:
        return None
