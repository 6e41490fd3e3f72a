"""Which host may take the next jobs of an empty queue by itself. Pure: values in, value out.

A job that comes to an idle farm then starts without the coordinator on its way: the host that would get it anyway waits
for it.
"""

from collections.abc import Mapping, Sequence

from farm.store.placement import HostView

MOST_QUEUES = 8
"""Of one host: it holds a connection for each."""

CLEARLY = 0.1
"""A host keeps what is reserved for it until another one has so much less load."""


def may_take(host: HostView) -> bool:
    """Whether a job that the host takes would begin at once."""
    return host.state == "available" and host.held < host.slots and host.room > 0 and host.dequeue_strategy == "default"


def reservations(hosts: Sequence[HostView], queues: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """Queue → name of the host, for those of `queues` that a host can take from. `before`: the same, as it was."""
    free = [host for host in hosts if may_take(host)]
    given: dict[str, int] = {}
    chosen: dict[str, str] = {}
    for queue in queues:
        able = [host for host in free if queue in host.queues and given.get(host.name, 0) < MOST_QUEUES]
        if not able:
            continue
        best = min(able, key=lambda host: (host.load, host.held / host.slots, host.name))
        kept = next((host for host in able if host.name == before.get(queue)), best)
        host = kept if kept.load < best.load + CLEARLY else best
        chosen[queue] = host.name
        given[host.name] = given.get(host.name, 0) + 1
    return chosen
