"""How a job ended, as its process tells its host."""

import msgspec


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
