"""Which host gets the next job. Pure: values in, value out."""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence

from farm.store.placement import MAX_PLAN
from farm.store.survey import HostView

PLACEABLE_STATES = frozenset({"available", "full"})
"""A full host may still hold what it holds (ADMISSION=hold); its capacity says how much that is."""

LEAST_COST = 0.001
"""Of one job, as a share of a host: keeps hosts with unmeasurably small jobs taking turns."""


def takes_jobs(host: HostView, now: float, suspect_after: float) -> bool:
    """Whether anything may be placed on the host now, by Redis's clock."""
    return host.state in PLACEABLE_STATES and now - host.beat_at < suspect_after and host.room > 0


def cost_of_a_job(host: HostView) -> float:
    """How much one more job is expected to add to the host's load.

    One slot's share of the host, until its jobs turn out to cost less: load per busy slot, which counts load caused by
    others as the jobs' own and so errs on the careful side.
    """
    share = 1 / max(host.slots, 1)
    if host.busy > 0:
        share = min(share, host.load / host.busy)
    return max(share, LEAST_COST)


def plan(hosts: Sequence[HostView], waiting: Mapping[str, int], at_most: int = MAX_PLAN) -> list[int]:
    """The order in which hosts get one job each: indexes into `hosts`.

    Again and again the host with the least predicted load that has room and listens to a queue with jobs left; a host
    with a free slot comes before hosts that would only put the job into their inbox. Predicted load is the published
    one and the cost of what was placed since; hosts on one machine share what is added.
    """
    left = {queue: length for queue, length in waiting.items() if length > 0}
    jobs = min(sum(left.values()), at_most)
    if jobs == 0:
        return []
    given = [0] * len(hosts)
    machines = [host.boot_id or host.name for host in hosts]
    added: defaultdict[str, float] = defaultdict(float)
    for host, machine in zip(hosts, machines, strict=True):
        if host.held > host.assigned:
            added[machine] += cost_of_a_job(host) * (host.held - host.assigned)

    def rank(index: int) -> tuple[bool, float, float, int]:
        host = hosts[index]
        holds = host.held + given[index]
        return (holds >= host.slots, host.load + added[machines[index]], holds / max(host.slots, 1), index)

    order: list[int] = []
    heap = [rank(index) for index, host in enumerate(hosts) if host.room > 0]
    heapq.heapify(heap)
    while heap and len(order) < jobs:
        index = heap[0][-1]
        current = rank(index)
        if current != heap[0]:  # a host of the same machine got something since; ranks only grow
            heapq.heapreplace(heap, current)
            continue
        queue = next((queue for queue in hosts[index].queues if left.get(queue, 0) > 0), None)
        if queue is None or given[index] >= hosts[index].room:
            heapq.heappop(heap)
            continue
        left[queue] -= 1
        given[index] += 1
        added[machines[index]] += cost_of_a_job(hosts[index])
        order.append(index)
        heapq.heapreplace(heap, rank(index))
    return order
