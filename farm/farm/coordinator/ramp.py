"""How many jobs a host may be given that has just recovered. Pure: views in, limits out.

The load of a host that was full, or silent, says little for the next seconds: it is a mean over the last ones, and the
host with the least load would be given all that waits. So it gets a few jobs, and twice as many each second.
"""

from collections.abc import Collection
from dataclasses import dataclass

from farm.store.survey import HostView

FIRST_SHARE = 4
"""A recovered host may at first be given its slots divided by this, at least one job."""
REMEMBERED_SECONDS = 60.0
"""A host that comes back as another run of itself within this time has recovered; after that it is a new one."""
ILL_STATES = frozenset({"full", "unhealthy"})


@dataclass(slots=True)
class _Past:
    """What is known of a host from the looks before."""

    identity: str
    seen_at: float
    is_ill: bool
    """It took no jobs, or only as others ended, and has not been available since."""
    recovered_at: float | None = None
    """Unix seconds; None: it has no limit."""
    held: int = 0
    """Jobs that it held when it recovered."""


class Ramp:
    """Remembers which hosts have just recovered. One for each leader: to a new one no host has."""

    def __init__(self) -> None:
        self._past: dict[str, _Past] = {}

    def limits(self, hosts: Collection[HostView], now: float, suspect_after: float) -> dict[str, int]:
        """Host name → most jobs that it may be given now. A host that is not in it has no limit.

        `hosts` are all that the look saw, `now` is Redis's clock, in Unix seconds. To be called after each look.
        """
        limits = {}
        for host in hosts:
            past = self._past.get(host.name)
            if past is None:
                past = self._past[host.name] = _Past(host.identity, now, is_ill=False)
            self._note(past, host, is_suspect=now - host.beat_at >= suspect_after, now=now)
            if past.recovered_at is not None:
                may_hold = past.held + _growth(host.slots, now - past.recovered_at)
                if may_hold >= host.capacity or host.prefetch > 0:
                    past.recovered_at = None
                else:
                    limits[host.name] = max(0, may_hold - host.held)
        if len(self._past) > len(hosts):
            self._forget(now)
        return limits

    def _note(self, past: _Past, host: HostView, *, is_suspect: bool, now: float) -> None:
        past.seen_at = now
        if host.identity != past.identity:
            past.identity, past.is_ill = host.identity, True
        if is_suspect or host.state in ILL_STATES:
            past.is_ill, past.recovered_at = True, None
        elif host.state == "available" and past.is_ill:
            past.is_ill, past.recovered_at, past.held = False, now, host.held

    def _forget(self, now: float) -> None:
        gone = [name for name, past in self._past.items() if now - past.seen_at > REMEMBERED_SECONDS]
        for name in gone:
            del self._past[name]


def _growth(slots: int, seconds: float) -> int:
    """How many jobs more than at its recovery a host may hold, so long after it."""
    doublings = min(int(max(seconds, 0.0)), 30)  # far beyond any number of slots
    return max(1, slots // FIRST_SHARE) << doublings
