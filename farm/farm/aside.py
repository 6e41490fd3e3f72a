"""Jobs that stepped aside: which needs they have, since when they fit nowhere, and why. As it is written in Redis."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

MOST_ASIDE = 10_000
"""So many jobs of one queue are passed over at most; those behind wait. Further down, to take one out costs
Redis a third of a millisecond."""


@dataclass(frozen=True, slots=True)
class AsideGroup:
    """Jobs of one queue with the same needs, none of which fits a host now."""

    requires: tuple[str, ...]
    """Labels, sorted."""
    memory_mb: int
    """0: they need no more memory than any host has."""
    declined: bool
    """Hosts declined them."""
    of_queue: bool
    """These are the needs of all jobs of the queue, said by the app of a host."""
    since: float
    """Unix seconds."""
    reason: str
    count: int

    @property
    def needs(self) -> str:
        """The needs in words, for people; empty for jobs that were only declined."""
        labels = f"requires {', '.join(self.requires)}" if self.requires else ""
        memory = f"needs {self.memory_mb} MB" if self.memory_mb else ""
        return " and ".join(filter(None, (labels, memory)))

    def has(self, requires: str, memory_mb: str, declined: str) -> bool:
        """Whether a job with these fields is one of the group; the empty ones are those of its queue."""
        labels = tuple(sorted(filter(None, requires.split(","))))
        own = labels == self.requires or (not labels and self.of_queue)
        memory = memory_mb == str(self.memory_mb) or (not memory_mb and (self.of_queue or not self.memory_mb))
        return own and memory and (bool(declined) or not self.declined)


def group_of(groups: Iterable[AsideGroup], requires: str, memory_mb: str, declined: str) -> AsideGroup | None:
    """The group of a job with these fields (`farm_requires`, …), None if it is in none."""
    return next((group for group in groups if group.has(requires, memory_mb, declined)), None)


def to_field(groups: Iterable[AsideGroup]) -> str:
    """What is written for a queue."""
    return json.dumps([asdict(group) for group in groups], separators=(",", ":"))


def from_field(text: str | bytes | None) -> tuple[AsideGroup, ...]:
    """What was written for a queue; nothing where there is nothing, or nothing readable."""
    try:
        said: Any = json.loads(text) if text else ()
        return tuple(AsideGroup(**{**one, "requires": tuple(one["requires"])}) for one in said)
    except (ValueError, TypeError, KeyError):
        return ()
