"""Values that are kept in Redis, and their text form there."""

import base64
import secrets
import time
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Self

MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
"""Of a job's function and arguments, serialized: as much as Redis takes in one value."""

LONGEST_SECONDS = 10**10
"""About 300 years. Redis refuses times to live that are much longer, so longer ones count as this."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right of one host to run one job.

    Kept in the host's `running` hash as `token|queue|attempt|since|on_lost|sequence`.
    """

    token: str
    """32 hex digits, also RQ's execution id."""
    queue: str
    attempt: int
    """1 for the first run; crashes and lost hosts count, retries do not."""
    since: int
    """Unix seconds by Redis's clock."""
    on_lost: str
    """`rerun` or `fail`."""
    sequence: int
    """Grows with each job that the host starts: the order to give jobs back in."""

    def __str__(self) -> str:
        return f"{self.token}|{self.queue}|{self.attempt}|{self.since}|{self.on_lost}|{self.sequence}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError if `text` is no lease."""
        # A queue's name may hold any character, so the fields around it are split off from both ends.
        token, rest = text.split("|", 1)
        queue, attempt, since, on_lost, sequence = rest.rsplit("|", 4)
        return cls(token, queue, int(attempt), int(since), on_lost, int(sequence))


def new_identity_suffix() -> str:
    """The random part of a host's identity."""
    return secrets.token_hex(4)


def failure_text(reason: str) -> bytes:
    """`reason` as RQ's results hold the text of a failure (`exc_string`): base64 of the compressed text."""
    return base64.b64encode(zlib.compress(reason.encode("utf-8", "backslashreplace")))


def iso_now() -> str:
    """Now in UTC, as RQ writes it into job hashes."""
    return iso(str(time.time_ns() // 1000))


def iso(microseconds: str) -> str:
    """A moment after 1970 in UTC, as RQ writes it into job hashes. `microseconds`: Unix time, in decimal digits."""
    return f"{_second(microseconds[:-6])}.{microseconds[-6:]}Z"


@lru_cache(maxsize=4)  # what is written within one second has most of it in common
def _second(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%S")
