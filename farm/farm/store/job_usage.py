"""What the last run of a job used: the field `farm_used` of its hash, written for runs that take a second or more."""

import json
from dataclasses import asdict, dataclass

FIELD = b"farm_used"

LEAST_SECONDS = 1.0
"""Of shorter runs nothing is written: what their functions use is known, see `farm usage`."""


@dataclass(frozen=True, slots=True)
class JobUsage:
    """How long a run took and what it used, as far as it was seen. How it is measured: docs/usage.md."""

    seconds: float
    cpu_seconds: float
    """Of the user and the system, with children."""
    memory: int
    """Bytes that it added to its process, at most."""

    def to_field(self) -> bytes:
        """As it is kept: JSON."""
        known = asdict(self) | {"seconds": round(self.seconds, 3), "cpu_seconds": round(self.cpu_seconds, 3)}
        return json.dumps(known).encode()


def parse(value: bytes | None) -> JobUsage | None:
    """None for what is not there, or is none."""
    try:
        said = json.loads(value or b"")
        usage = JobUsage(float(said["seconds"]), float(said["cpu_seconds"]), int(said["memory"]))
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
    return usage if all(0 <= each < float("inf") for each in (usage.seconds, usage.cpu_seconds, usage.memory)) else None
