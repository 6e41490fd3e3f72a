"""When a queue counts as deferred. Pure: values in, value out."""

from collections.abc import Sequence

from farm.store.survey import HostView

PATIENCE_SECONDS = 1.0
"""Nothing could be placed for so long: only then is it a deferral, and not the moment between two jobs."""

NO_HOST = "no host"
REFUSING_STATES = ("full", "draining", "unhealthy")


def why_nothing_can_be_placed(waiting: int, live_hosts: Sequence[HostView], served_elsewhere: bool) -> str | None:
    """The reason, or None if nothing waits or a host may take it soon.

    `live_hosts` are those that listen to the queue and beat; `served_elsewhere` says that a stock worker listens. A
    host that is available with all slots busy is no reason: jobs wait their turn there. Neither is one that starts.
    """
    if waiting <= 0:
        return None
    if not live_hosts:
        return None if served_elsewhere else NO_HOST
    states = {host.state for host in live_hosts}
    if not states.issubset(REFUSING_STATES):
        return None
    return "every host is " + " or ".join(state for state in REFUSING_STATES if state in states)


def is_deferred(was_deferred: bool, blocked_for: float, placed_ago: float) -> bool:
    """Whether a queue, from which nothing can be placed for `blocked_for` seconds by now, counts as deferred.

    `placed_ago` is the time since a job was last placed from it. A deferral once begun goes on while hosts replace
    single jobs; it ends only when something can be placed (the caller sees that), or nothing waits.
    """
    return was_deferred or min(blocked_for, placed_ago) >= PATIENCE_SECONDS


def describe_hosts(hosts: Sequence[HostView]) -> str:
    """Hosts and their loads as `name=load,…`, the first hundred."""
    return ",".join(f"{host.name}={host.load:.3f}" for host in hosts[:100])
