"""Which host may take jobs by itself. Pure: values in, value out.

The next jobs of an empty queue: a job that comes to an idle farm then starts without the coordinator on its way, as
the host that would get it anyway waits for it. And all jobs of queues that no other host serves: there is no choice.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.store.survey import HostView

MOST_QUEUES = 8
"""Of one host: it holds a connection for each."""

CLEARLY = 0.1
"""A host keeps what is reserved for it until another one has so much less load."""


def may_take(host: HostView) -> bool:
    """Whether a job that the host takes would begin at once."""
    return host.state == "available" and host.held < host.slots and host.room > 0 and host.dequeue_strategy == "default"


def sole_hosts(hosts: Iterable[HostView], dealt_one_by_one: Collection[str] = ()) -> list[HostView]:
    """Those of live hosts that are alone with each of their queues. One with an order of its own is not among them, nor
    one with a queue that is `dealt_one_by_one`."""
    hosts = list(hosts)
    serving = Counter(queue for host in hosts for queue in set(host.queues))
    return [
        host
        for host in hosts
        if host.dequeue_strategy == "default"
        and all(serving[queue] == 1 and queue not in dealt_one_by_one for queue in host.queues)
    ]


def helps_itself(host: HostView, waiting: Mapping[str, int]) -> bool:
    """Whether a sole host needs nothing placed: more waits than it has room for, and it asks as its jobs end."""
    jobs = sum(max(0, waiting.get(queue, 0)) for queue in host.queues)
    return host.state == "available" and host.held >= host.slots and jobs > host.room


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
