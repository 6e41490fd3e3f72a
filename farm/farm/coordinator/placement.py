"""Which host gets the next job. Pure: values in, value out."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from farm.coordinator.costs import NOTHING_KNOWN, Cost, Costs
from farm.coordinator.forecast import Forecast
from farm.coordinator.offers import Offers
from farm.coordinator.waiting import WaitingJob, WaitingQueue
from farm.store.placement import MAX_PLAN
from farm.store.survey import HostView

PLACEABLE_STATES = frozenset({"available", "full"})
"""A full host may still hold what it holds (ADMISSION=hold); its capacity says how much that is."""

LEVELS = 50
"""Of load, up to 1. Loads of one level count as equal, as samples differ by that: such hosts take turns."""

NO_LIMITS: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Plan:
    """Which host gets how many jobs, and which."""

    order: list[int]
    """Indexes of hosts, one for each job dealt blind: each takes from the first queue of its own list that is not
    empty, those of `one_by_one` left out."""
    assigned: Sequence[tuple[WaitingJob, int]] = ()
    """Jobs dealt one by one, in the order of their queues, each with the index of its host."""
    aside: Sequence[WaitingJob] = ()
    """Jobs that fit no host that has room, while a host with room serves their queue: they would block it."""
    one_by_one: frozenset[str] = frozenset()
    """Queues that are not dealt blind."""
    looks_again: bool = False
    """A host has room left, and waits for jobs of a queue behind those that were looked at."""

    @property
    def total(self) -> int:
        """Number of jobs that hosts get."""
        return len(self.order) + len(self.assigned)


def takes_jobs(host: HostView, now: float, suspect_after: float) -> bool:
    """Whether anything may be placed on the host now, by Redis's clock."""
    return host.state in PLACEABLE_STATES and now - host.beat_at < suspect_after and host.room > 0


def plan(
    hosts: Sequence[HostView],
    waiting: Mapping[str, WaitingQueue],
    costs: Costs = NOTHING_KNOWN,
    ramps: Mapping[str, int] = NO_LIMITS,
    at_most: int = MAX_PLAN,
    turn: int = 0,
) -> Plan:
    """Which hosts get the next jobs.

    Again and again the host with the least predicted load that has room takes the first job that fits it, of the first
    of its queues that has one. A host with a free slot comes before hosts that would only put the job into their inbox,
    and one whose memory is expected to pass its line comes last. `ramps` are the most jobs that some hosts may be given
    now, by name; with `turn`, the number of jobs placed before, equal hosts take turns from plan to plan as well.
    """
    blind: dict[str, int] = {}
    known: dict[str, Sequence[WaitingJob]] = {}
    particular: dict[str, WaitingQueue] = {}
    for queue, each in waiting.items():
        if each.length > 0 and each.jobs and each.is_particular:
            particular[queue] = each
        elif each.length > 0:
            blind[queue] = each.length
            known[queue] = each.jobs
    jobs = min(sum(blind.values()) + sum(len(each.jobs) for each in particular.values()), at_most)
    if jobs <= 0:
        return Plan([])
    forecast = Forecast(hosts, costs)
    offers = Offers(particular, hosts, forecast) if particular else None
    dealing = _Dealing(hosts, forecast, costs, blind, known, offers)
    dealing.run(jobs, ramps, turn)
    return dealing.plan()


class _Dealing:
    """One plan in the making."""

    def __init__(
        self,
        hosts: Sequence[HostView],
        forecast: Forecast,
        costs: Costs,
        blind: dict[str, int],
        known: Mapping[str, Sequence[WaitingJob]],
        offers: Offers | None,
    ) -> None:
        self._hosts = hosts
        self._forecast = forecast
        self._costs = costs if costs else None
        self._blind = blind
        self._lengths = dict(blind)
        self._known = known
        """The first jobs of queues that are dealt blind, where they were looked at for what they cost."""
        self._offers = offers
        self._rooms = [host.room for host in hosts]
        self._holds = [host.held for host in hosts]
        self._turned: dict[int, tuple[str, ...]] = {}
        """Queues of hosts whose order changes with each job."""
        self._order: list[int] = []
        self._assigned: list[tuple[WaitingJob, int]] = []

    def run(self, jobs: int, ramps: Mapping[str, int], turn: int) -> None:
        """Deals so many, or less if there is no room."""
        hosts, rooms, holds, count = self._hosts, self._rooms, self._holds, len(self._hosts)
        load = self._forecast.load
        passes_line = self._would_pass_line if self._may_pass_a_line(jobs) else None
        is_independent = passes_line is None and not self._forecast.is_shared
        """Only what a host gets itself changes its rank."""
        if ramps:
            rooms[:] = [min(room, ramps.get(host.name, room)) for host, room in zip(hosts, rooms, strict=True)]

        def rank(index: int) -> tuple[bool, bool, int, float, int]:  # what is asked for most
            slots, held = hosts[index].slots, holds[index]
            return (
                passes_line is not None and passes_line(index),
                held >= slots,
                int(load(index) * LEVELS),
                held / slots if slots else 1.0,
                (index - turn) % count,
            )

        heap = [rank(index) for index, room in enumerate(rooms) if room > 0]
        heapq.heapify(heap)
        while heap and jobs > 0:
            index = (heap[0][-1] + turn) % count
            if not is_independent and (current := rank(index)) > heap[0]:  # a host of the same machine got something
                heapq.heapreplace(heap, current)
            elif rooms[index] > 0 and self._give(index):
                jobs -= 1
                heapq.heapreplace(heap, rank(index))
            else:
                heapq.heappop(heap)

    def plan(self) -> Plan:
        """What was dealt."""
        if self._offers is None:
            return Plan(self._order)
        with_room = [index for index, room in enumerate(self._rooms) if room > 0]
        served = {queue for index in with_room for queue in self._hosts[index].queues}
        return Plan(
            self._order,
            self._assigned,
            self._offers.in_the_way(with_room),
            self._offers.queues,
            looks_again=any(self._offers.goes_on(queue) for queue in served & self._offers.queues),
        )

    def _may_pass_a_line(self, jobs: int) -> bool:
        """Whether so many jobs can need more memory than a host has left."""
        if self._costs is None or self._costs.most_memory == 0:
            return False
        needed = jobs * self._costs.most_memory
        return any(host.memory_left is not None and host.memory_left < needed for host in self._hosts)

    def _would_pass_line(self, index: int) -> bool:
        found = self._next(index)
        return found is not None and self._forecast.would_pass_line(index, self._cost(*found))

    def _give(self, index: int) -> bool:
        """Gives the host one job; False if there is none for it."""
        found = self._next(index)
        if found is None:
            return False
        queue, job = found
        cost = self._cost(queue, job)
        if job is None or self._offers is None:
            self._blind[queue] -= 1
            self._order.append(index)
        else:
            self._offers.take(index, job)
            self._assigned.append((job, index))
        self._rooms[index] -= 1
        self._holds[index] += 1
        self._forecast.charge(index, cost, 0 if job is None else job.memory_mb)
        if self._hosts[index].dequeue_strategy == "round_robin":
            queues = self._turned.get(index, self._hosts[index].queues)
            following = queues.index(queue) + 1
            self._turned[index] = queues[following:] + queues[:following]
        return True

    def _next(self, index: int) -> tuple[str, WaitingJob | None] | None:
        """The queue that the host takes its next job from, and the job if it is known."""
        for queue in self._turned.get(index) or self._hosts[index].queues:
            if self._blind.get(queue, 0) > 0:
                return queue, None
            if self._offers is None or queue not in self._offers.queues:
                continue
            job = self._offers.first_for(index, queue)
            if job is not None:
                return queue, job
            if self._offers.goes_on(queue):  # the host's later queues must not overtake what is behind
                return None
        return None

    def _cost(self, queue: str, job: WaitingJob | None) -> Cost | None:
        if self._costs is None:
            return None
        if job is None:
            dealt, known = self._lengths[queue] - self._blind[queue], self._known[queue]
            job = known[dealt] if dealt < len(known) else None
        return (self._costs.of(queue, job.function) if job is not None else None) or self._costs.of_queue(queue)
