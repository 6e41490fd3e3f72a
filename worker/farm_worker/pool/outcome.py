"""How a job ended, as its process tells its host."""

import time

import msgspec

from farm.account import RESOLUTION_SECONDS, Account, Cpu


class Used(msgspec.Struct, array_like=True):
    """What was used by the jobs of a process that ended since it told of that last, this one with them.

    To measure each of them alone would cost more than short jobs do.
    """

    user: float
    """Seconds of CPU time, as `system`; `children`: both of those that jobs waited for."""
    system: float
    children: float
    memory: int
    """Bytes that one job added to its process."""


class Outcome(msgspec.Struct, tag="outcome", array_like=True):
    """Process → host: how a job ended. The host looks at what it has to know, and hands on the rest."""

    sequence: int
    kind: str
    """`finished`, `failed`, `stopped` when it was asked to end and did; `interrupted`: as its host stops, which
    hands it back. Two did not begin: `unbegun`, as its payload could not be read, goes back too; `returned`, as others
    ran side by side and it can't run beside them, gets another process."""
    seconds: float
    """How long the job ran, measured on the monotonic clock."""
    packed: bytes
    """What is to be written: see `farm.ending.pack_ending`. Empty for one that is handed back."""
    summary: str = ""
    """One line for the log: the error's type and text."""
    again: str = ""
    """Where the job goes next: `` nowhere, `back` or `front` of its queue, `scheduled`."""
    repeat: bool = False
    """True when it goes again because it repeats (it finished), False when it is retried."""
    used: Used | None = None
    """None: it is told with a later one. So it is mostly, where short jobs follow each other."""


class Finished(Outcome, tag="finished", array_like=True):
    """Process → host: a job returned, and there is nothing to say of it but that. The host packs what is written.

    A process comes to that between two jobs, with cold caches; the host does it for many jobs in a row.
    """

    started_at: float = 0.0
    """Unix seconds, as `ended_at`."""
    ended_at: float = 0.0
    ttl: int = 0
    """Seconds that the job is kept: -1 for ever, 0 not at all."""
    accepted: bytes = b""
    """When it was created and enqueued, see `farm.ending.pack_ending`."""
    result: bytes = b""
    """RQ's `return_value`."""


def used(account: Account, begun: Cpu, seconds: float, *, is_last: bool = False) -> Used | None:
    """What a job's outcome is to say of it, as the job is over. `begun`: what `account.begin` returned.

    `is_last`: it is not known yet that another one follows.
    """
    spent = account.end(begun, time.monotonic(), is_long=seconds >= RESOLUTION_SECONDS, is_last=is_last)
    return None if spent is None else Used(*spent.cpu, spent.memory)
