"""What the host and its hooks process say to each other of jobs that the host may decline."""

from typing import Any, Literal

import msgspec


class Offer(msgspec.Struct, array_like=True):
    """A job of which the host asks whether it accepts it."""

    job_id: bytes
    queue: str
    attempt: int
    called: bytes
    """What its description says that it calls."""
    packed: bytes
    """Its hash in MessagePack."""
    is_large: bool
    """Its payload is not in there: who needs it reads it from Redis."""


class CallAccept(msgspec.Struct, tag="accept", array_like=True):
    """Host → hooks process: ask `@app.accept` about these jobs, in this order."""

    sequence: int
    facts: dict[str, Any]
    offers: list[Offer]
    seconds: float
    """After so many it says what it knows by then: the host asks again about the rest."""


class Verdict(msgspec.Struct, array_like=True):
    """What `@app.accept` said of one job."""

    kind: Literal["accepted", "declined", "failed"]
    """`failed`: it did not say."""
    reason: str = ""


class AcceptAnswer(msgspec.Struct, tag="accept_answer", array_like=True):
    """Hooks process → host: of the first jobs that it was asked about, of one at least.

    None at all: no process could be asked, or it did not answer; `error` says why.
    """

    sequence: int
    verdicts: list[Verdict]
    error: str = ""
