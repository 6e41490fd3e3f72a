"""Which host may take the next jobs of an empty queue by itself. Pure: values in, value out.

A job that comes to an idle farm then starts without the coordinator on its way: the host that would get it anyway waits
for it.
"""

from collections.abc import Mapping, Sequence

from farm.store.survey import HostView

MOST_QUEUES = 8
"""Of one host: it holds a connection for each."""

CLEARLY = 0.1
"""A host keeps what is reserved for it until another one has so much less load."""


def may_take(host: HostView) -> bool:
    """Whether a job that the host takes would begin at once."""
    return host.state == "available" and host.held < host.slots and host.room > 0 and host.dequeue_strategy == "default"


def reservations(hosts: Sequence[HostView], queues: Sequence[str], before: Mapping[str, str]) -> dict[str, str]:
    """Queue → name of the host, for those of `queues` that a host can take from. `before`: the same, as it was."""
    free = [host for host in hosts if may_take(host)] if queues else []
    free.sort(key=lambda host: (host.load, host.held / host.slots, host.name))
    by_name = {host.name: host for host in free}
    given: dict[str, int] = {}
    chosen: dict[str, str] = {}

    def is_able(host: HostView, queue: str) -> bool:
        return queue in host.queues and given.get(host.name, 0) < MOST_QUEUES

    for queue in queues:
        best = next((host for host in free if is_able(host, queue)), None)
        if best is None:
            continue
        kept = by_name.get(before.get(queue, ""), best)
        host = kept if is_able(kept, queue) and kept.load < best.load + CLEARLY else best
        chosen[queue] = host.name
        given[host.name] = given.get(host.name, 0) + 1
    return chosen
