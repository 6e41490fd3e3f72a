"""What the driver did to the farm, and when: the only reasons for which a job may run again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf


@dataclass(slots=True)
class Span:
    """Some time during which something was not as it should be. Seconds of the monotonic clock."""

    what: str
    target: str
    """A host, `redis`, or `` for all."""
    began: float
    until: float = inf

    def end(self) -> None:
        self.until = time.monotonic()

    def touches(self, since: float, until: float) -> bool:
        return self.began <= until and since <= self.until


@dataclass(slots=True)
class Timeline:
    """Filled while faults happen, read by the verdict."""

    started: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)
    losses: list[Span] = field(default_factory=list)
    """A host that may be given up: killed, or silent for longer than HOST_TIMEOUT."""
    drains: list[Span] = field(default_factory=list)
    """A host that was asked to end: what runs at its deadline goes back."""
    troubles: list[Span] = field(default_factory=list)
    """Outcomes may wait: Redis or a host's way to it was disturbed."""
    rollbacks: list[Span] = field(default_factory=list)
    """Writes that Redis had accepted in this time were lost with the end of its file."""
    kills: dict[int, list[float]] = field(default_factory=dict)
    """When single processes of hosts were killed, by pid."""

    def say(self, text: str) -> None:
        self.lines.append(f"{time.monotonic() - self.started:8.2f} s  {text}")

    def lost(self, host: str, what: str) -> Span:
        return _begin(self.losses, what, host)

    def drained(self, host: str, what: str) -> Span:
        return _begin(self.drains, what, host)

    def trouble(self, target: str, what: str) -> Span:
        return _begin(self.troubles, what, target)

    def rolled_back(self, since: float) -> Span:
        """Until now."""
        span = _begin(self.rollbacks, "rolled back", "redis")
        span.began, span.until = since, span.began
        return span

    def killed(self, pids: Iterable[int]) -> None:
        now = time.monotonic()
        for pid in pids:
            self.kills.setdefault(pid, []).append(now)

    def settled_by(self, ended: float, host: str, slack: float = 2.0) -> float:
        """When the outcome of a run that ended then should have been recorded at the latest."""
        limit = ended + slack
        for span in sorted(self.troubles, key=lambda one: one.began):
            if span.target in ("", "redis", host) and span.touches(ended, limit):
                limit = max(limit, span.until + 2 * slack)
        return limit


def _begin(spans: list[Span], what: str, target: str) -> Span:
    span = Span(what, target, time.monotonic())
    spans.append(span)
    return span
