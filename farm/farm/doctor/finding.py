"""What one check says."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `farm doctor`."""

    check: str
    state: State
    """error: jobs may be lost or stand still. warning: worth a change. unknown: Redis does not let us look."""
    found: str
    remedy: str = ""
    """What to do; empty if nothing is."""


def unknown(check: str, command: str) -> Finding:
    """The finding of a check whose command is forbidden."""
    return Finding(
        check, "unknown", f"Redis refuses {command}", "ask whoever runs Redis, or allow that command to this user"
    )
