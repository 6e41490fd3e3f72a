"""What a waiting job needs of a host: by its own fields, else by what apps say of its queue. Pure."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from farm.coordinator.waiting import WaitingJob
from farm.store.front import SeenJob
from farm.store.raw_fields import declines
from farm.store.survey import HostView


@dataclass(frozen=True, slots=True)
class Needs:
    """Of a job, or of all jobs of a queue."""

    requires: frozenset[str] = frozenset()
    memory_mb: int = 0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.requires or self.memory_mb)


NONE = Needs()


def needs_of_queues(hosts: Iterable[HostView]) -> dict[str, Needs]:
    """Queue → what the apps of these hosts say that its jobs need. Where they differ, all of it is needed."""
    found: dict[str, Needs] = {}
    for text in {host.needs for host in hosts if host.needs}:
        for queue, needs in _parsed(text).items():
            known = found.get(queue, NONE)
            found[queue] = Needs(known.requires | needs.requires, max(known.memory_mb, needs.memory_mb))
    return found


def waiting_job(seen: SeenJob, queue: str, of_queue: Needs, now: float) -> WaitingJob:
    """The job as placement sees it. `now`: Redis's clock, in Unix seconds."""
    called = seen.called.strip()
    return WaitingJob(
        job_id=seen.job_id,
        queue=queue,
        function=called if called.isprintable() else "",  # by which hosts keep what jobs use
        requires=_labels(seen.requires) if seen.requires else of_queue.requires,
        memory_mb=_number(seen.memory_mb) if seen.memory_mb else of_queue.memory_mb,
        declined_by=frozenset(declines(seen.declined, now)),
    )


@lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping[str, Needs]:
    """What a host published; what is not readable says nothing."""
    try:
        said: Any = json.loads(text)
        return {
            queue: Needs(frozenset(map(str, one.get("requires") or ())), _number(one.get("memory_mb") or 0))
            for queue, one in said.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _labels(text: str) -> frozenset[str]:
    return frozenset(label for label in text.split(",") if label)


def _number(text: str | float) -> int:
    try:
        return max(0, int(text))
    except (ValueError, OverflowError):
        return 0
