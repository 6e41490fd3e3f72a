"""Memory that was promised to jobs, and that no beat shows yet. Pure: what was placed in, views out.

Plans follow each other within milliseconds, and a job needs seconds until it uses what it asked for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from farm.coordinator.waiting import MEGABYTE
from farm.store.survey import HostView

PLEDGE_SECONDS = 10.0
"""A job that has not taken its memory after so long is not waited for."""


@dataclass(frozen=True, slots=True)
class _Pledge:
    at: float
    memory: int
    host: tuple[str, str]
    left: int
    """Bytes that the host said it had left."""


class Pledges:
    """Remembers them by machine. One for each leader."""

    def __init__(self) -> None:
        self._made: dict[str, list[_Pledge]] = {}

    def note(self, host: HostView, memory_mb: int, now: float) -> None:
        """A job that asks for so much was placed there. `host` is as the look saw it, `now` in Unix seconds."""
        if memory_mb > 0 and host.memory_left is not None:
            pledge = _Pledge(now, memory_mb * MEGABYTE, (host.name, host.identity), host.memory_left)
            self._made.setdefault(host.boot_id or host.name, []).append(pledge)

    def applied(self, hosts: Sequence[HostView], now: float) -> list[HostView]:
        """The hosts with the memory that is left once each pledge is used. What a job has taken by now counts once."""
        if not self._made:
            return list(hosts)
        for machine, pledges in list(self._made.items()):
            self._made[machine] = [pledge for pledge in pledges if now - pledge.at < PLEDGE_SECONDS]
            if not self._made[machine]:
                del self._made[machine]
        return [_less(host, self._made.get(host.boot_id or host.name, ())) for host in hosts]


def _less(host: HostView, pledges: Iterable[_Pledge]) -> HostView:
    if host.memory_left is None:
        return host
    own = [pledge for pledge in pledges if pledge.host == (host.name, host.identity)]
    left = min([host.memory_left] + ([own[0].left - sum(pledge.memory for pledge in own)] if own else []))
    left -= sum(pledge.memory for pledge in pledges if pledge.host != (host.name, host.identity))
    return replace(host, memory_left=max(0, left)) if left < host.memory_left else host
