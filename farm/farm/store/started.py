"""A job that a host started: what the scripts return of it."""

from collections.abc import Mapping

import msgspec

from farm.packed import unpack_hash


class StartedJob(msgspec.Struct):
    """A job whose lease this host now holds."""

    job_id: bytes
    token: str
    queue: str
    attempt: int
    on_lost: str
    """`rerun` or `fail`."""
    timeout: bytes
    """RQ's field, empty for a job without it."""
    called: bytes
    """What its description says that it calls, without arguments."""
    has_callbacks: bool
    """Whether anything of the user's runs after its function."""
    packed: bytes
    """Its hash as it was before the start, with the `farm_fence` of this start; for its process."""
    is_large: bool = False
    """Its payload is empty in there: its process reads it from Redis."""

    @property
    def fields(self) -> list[bytes]:
        """The hash, flat."""
        return unpack_hash(self.packed)


def on_lost_arguments(on_lost: str, on_lost_of_queues: Mapping[str, str]) -> list[str]:
    """What becomes of jobs whose host is lost, as the scripts take it: of all, then of queues by name."""
    return [on_lost, *(part for pair in on_lost_of_queues.items() for part in pair)]


def read_started(job: list[bytes]) -> StartedJob:
    """A job as the scripts return it."""
    job_id, lease, timeout, called, callbacks, packed, large = job
    token, queue, attempt, on_lost = read_lease(lease)
    return StartedJob(job_id, token, queue, attempt, on_lost, timeout, called, bool(callbacks), packed, bool(large))


def read_lease(lease: bytes) -> tuple[str, str, int, str]:
    """Token, queue, attempt and `on_lost` of a job that was started: as `Lease.parse`, but this runs for each job."""
    token, rest = lease.decode(errors="replace").split("|", 1)
    queue, attempt, _, on_lost, _ = rest.rsplit("|", 4)
    return token, queue, int(attempt), on_lost
