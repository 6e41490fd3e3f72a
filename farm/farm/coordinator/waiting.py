"""What waits in queues, as far as a look saw it. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass

MEGABYTE = 1_000_000
"""What `memory_mb` counts, as all amounts in MB do."""

Kind = tuple[frozenset[str], int, frozenset[str]]


@dataclass(frozen=True, slots=True)
class WaitingJob:
    """A job at the front of its queue, with what decides where it may run."""

    job_id: bytes
    queue: str
    function: str = ""
    """Its name, as usage is kept by; empty if not known."""
    requires: frozenset[str] = frozenset()
    """Labels that its host must have."""
    memory_mb: int = 0
    """Megabytes (of 1,000,000 bytes) that its host must have left; 0 for a job that does not say."""
    declined_by: frozenset[str] = frozenset()
    """`<host>|<identity>` of the hosts that would not take it."""

    @property
    def memory(self) -> int:
        """Bytes that its host must have left."""
        return self.memory_mb * MEGABYTE

    @property
    def kind(self) -> Kind:
        """What decides where it fits: a host that one job fits, all others of its kind fit."""
        return self.requires, self.memory_mb, self.declined_by

    @property
    def is_particular(self) -> bool:
        """Whether there may be hosts that it must not go to."""
        return bool(self.requires or self.memory_mb or self.declined_by)


@dataclass(frozen=True, slots=True)
class WaitingQueue:
    """A queue as placement sees it."""

    length: int
    """Jobs in it; 0 or less: nothing to place."""
    jobs: tuple[WaitingJob, ...] = ()
    """The first ones, in order, where they were looked at. Empty: the queue is dealt blind."""
    one_by_one: bool = False
    """Its jobs are dealt one by one, whether or not one of those looked at is particular: a record may say that it is,
    and mean nothing by now."""

    @property
    def is_particular(self) -> bool:
        """Whether its jobs are dealt one by one: a particular one is among those looked at."""
        return self.one_by_one or any(job.is_particular for job in self.jobs)


def dealt_blind(lengths: Mapping[str, int]) -> dict[str, WaitingQueue]:
    """Queues of which only the length is known."""
    return {queue: WaitingQueue(length) for queue, length in lengths.items()}
