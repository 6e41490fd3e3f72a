"""Who gets the next jobs: our placement, and three that are known from elsewhere. All see the same views and rooms."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from farm.coordinator.costs import Costs
from farm.coordinator.placement import plan
from farm.coordinator.ramp import Ramp
from farm.coordinator.waiting import WaitingQueue
from farm.store.survey import HostView

SUSPECT_AFTER = 3.0


@dataclass(frozen=True, slots=True)
class Choice:
    """What one round deals: ids one by one, and from the heads of queues."""

    assigned: Sequence[tuple[bytes, int]]
    order: Sequence[int]
    """Of hosts: each takes the next job of the first of its queues that is dealt so."""
    one_by_one: frozenset[str] = frozenset()


class Policy(Protocol):
    """Decides in each round."""

    name: str

    def look(self, hosts: Sequence[HostView], now: float) -> None:
        """All hosts, at each round."""

    def choose(self, hosts: Sequence[HostView], waiting: Mapping[str, WaitingQueue], costs: Costs) -> Choice:
        """`hosts`: those that take jobs now."""


class Placement:
    """Ours."""

    name = "farm"

    def __init__(self) -> None:
        self._ramp = Ramp()
        self._limits: Mapping[str, int] = {}
        self._turn = 0

    def look(self, hosts: Sequence[HostView], now: float) -> None:
        self._limits = self._ramp.limits(hosts, now, SUSPECT_AFTER)

    def choose(self, hosts: Sequence[HostView], waiting: Mapping[str, WaitingQueue], costs: Costs) -> Choice:
        dealt = plan(hosts, waiting, costs, self._limits, turn=self._turn)
        self._turn += dealt.total
        return Choice([(job.job_id, index) for job, index in dealt.assigned], dealt.order, dealt.one_by_one)


class _Simple:
    """Deals job by job to one of the hosts that have room."""

    name = ""

    def look(self, hosts: Sequence[HostView], now: float) -> None:
        del hosts, now

    def choose(self, hosts: Sequence[HostView], waiting: Mapping[str, WaitingQueue], costs: Costs) -> Choice:
        del costs
        rooms = [host.room for host in hosts]
        order = []
        for _ in range(sum(each.length for each in waiting.values())):
            open_ones = [index for index, room in enumerate(rooms) if room > 0]
            if not open_ones:
                break
            index = self._pick(open_ones, hosts, rooms)
            rooms[index] -= 1
            order.append(index)
        return Choice((), order)

    def _pick(self, open_ones: Sequence[int], hosts: Sequence[HostView], rooms: Sequence[int]) -> int:
        raise NotImplementedError


class Random(_Simple):
    """Any."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self._draw = random.Random(seed)

    def _pick(self, open_ones: Sequence[int], hosts: Sequence[HostView], rooms: Sequence[int]) -> int:
        return self._draw.choice(open_ones)


class RoundRobin(_Simple):
    """The next in the row."""

    name = "round robin"

    def __init__(self) -> None:
        self._last = ""

    def _pick(self, open_ones: Sequence[int], hosts: Sequence[HostView], rooms: Sequence[int]) -> int:
        index = next((index for index in open_ones if hosts[index].name > self._last), open_ones[0])
        self._last = hosts[index].name
        return index


class LeastConnections(_Simple):
    """The one that holds the fewest jobs."""

    name = "least connections"

    def _pick(self, open_ones: Sequence[int], hosts: Sequence[HostView], rooms: Sequence[int]) -> int:
        return min(open_ones, key=lambda index: (hosts[index].held + hosts[index].room - rooms[index], index))
