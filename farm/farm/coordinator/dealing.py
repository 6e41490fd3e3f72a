"""Dealing what waits to hosts with room: looks at what has to be looked at, plans, and has the plan carried out."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from farm.coordinator.costs import NOTHING_KNOWN
from farm.coordinator.fronts import Fronts
from farm.coordinator.needs import Needs
from farm.coordinator.placement import Plan, plan
from farm.coordinator.pledges import Pledges
from farm.coordinator.ramp import Ramp
from farm.coordinator.turns import Turns
from farm.coordinator.waiting import WaitingJob
from farm.store.leadership import LeaderScripts
from farm.store.placement import MAX_PLAN, Placed, PlacementStore
from farm.store.survey import HostView, Survey

NOTHING = Placed({}, {}, ())

DEFAULT = frozenset({"", "default"})
"""The first queue before the others."""


class Dealing:
    """What a leader knows beyond one look: costs of jobs, hosts that just recovered, promised memory, jobs aside."""

    def __init__(self, store: PlacementStore, suspect_after: float) -> None:
        self._store = store
        self._suspect_after = suspect_after
        self.fronts = Fronts(store.fronts)
        self.costs = NOTHING_KNOWN
        """What jobs are known to use."""
        self.looks_again = False
        """More might be placed at once: there is something left to be looked at."""
        self.is_full = False
        """The last plan had as many jobs as one may have."""
        self._ramp = Ramp()
        self._pledges = Pledges()
        self._turns = Turns()
        self.placed = 0
        """Jobs so far."""

    def begin(self) -> None:
        """The caller leads from now on."""
        self.fronts.forget()
        self._ramp, self._pledges = Ramp(), Pledges()

    async def deal(
        self,
        leader: LeaderScripts,
        survey: Survey,
        needs: Mapping[str, Needs],
        waiting: Mapping[str, int],
        hosts: Sequence[HostView],
    ) -> Placed:
        """Places what fits. `hosts` are those with room; `needs`: of all jobs of a queue.

        Raises NotLeader and redis-py's errors.
        """
        ramps = self._ramp.limits(survey.hosts, survey.now, self._suspect_after)
        queues = await self.fronts.look(survey, needs, waiting, hosts, self.costs)
        seen = hosts
        hosts = self._pledges.applied(hosts, survey.now)
        hosts = [self._turns.facing(host) if host.dequeue_strategy not in DEFAULT else host for host in hosts]
        chosen = plan(hosts, queues, self.costs, ramps, turn=self.placed)
        placed = await self._place(leader, hosts, chosen) if chosen.order else NOTHING
        assigned = await self._assign(leader, hosts, chosen) if chosen.assigned else []
        for job, index in assigned:
            self._pledges.note(seen[index], job.memory_mb, survey.now)
        self.fronts.settle(chosen, [job for job, _ in assigned])
        for queue in placed.particular:
            self.fronts.needs_looks(queue)
        self.looks_again = chosen.looks_again or bool(placed.particular)
        self.is_full = chosen.total == MAX_PLAN
        everything = placed.with_more(_as_placed(hosts, assigned)) if assigned else placed
        self.placed += everything.total
        return everything

    async def _place(self, leader: LeaderScripts, hosts: Sequence[HostView], chosen: Plan) -> Placed:
        """One call, but for hosts that change the order of their queues with each job."""
        indexes = sorted(set(chosen.order))  # of a large farm few get something
        position = {index: number for number, index in enumerate(indexes)}
        order = [position[index] for index in chosen.order]
        dealt_to = [_without(hosts[index], chosen.one_by_one) for index in indexes]
        if all(host.dequeue_strategy in DEFAULT for host in dealt_to):
            return await self._store.place(leader, dealt_to, order, self._suspect_after)
        placed = NOTHING
        for index in order:
            host = self._turns.facing(dealt_to[index])
            one = await self._store.place(leader, [host], [0], self._suspect_after)
            self._turns.note(host.name, one)
            placed = placed.with_more(one)
        return placed

    async def _assign(
        self, leader: LeaderScripts, hosts: Sequence[HostView], chosen: Plan
    ) -> list[tuple[WaitingJob, int]]:
        """Those that were placed, each with the index of its host."""
        asked = [(job.queue, job.job_id, index) for job, index in chosen.assigned]
        answers = await self._store.assign(leader, hosts, asked, self._suspect_after)
        assigned = [one for one, is_placed in zip(chosen.assigned, answers, strict=True) if is_placed]
        for one in assigned:
            self._turns.note(hosts[one[1]].name, _as_placed(hosts, [one]))
        return assigned


def _without(host: HostView, queues: frozenset[str]) -> HostView:
    """The host, as if it did not serve these."""
    if not queues:
        return host
    return replace(host, queues=tuple(queue for queue in host.queues if queue not in queues))


def _as_placed(hosts: Sequence[HostView], assigned: Sequence[tuple[WaitingJob, int]]) -> Placed:
    on_host = Counter(hosts[index].name for _, index in assigned)
    return Placed(dict(on_host), dict(Counter(job.queue for job, _ in assigned)), ())
