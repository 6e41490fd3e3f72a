"""Fronts of queues: of those whose jobs are dealt one by one, and of those whose jobs differ in what they cost."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from farm.coordinator.costs import Costs
from farm.coordinator.front import PAGE, Front
from farm.coordinator.needs import NONE, Needs, waiting_job
from farm.coordinator.placement import Plan
from farm.coordinator.waiting import WaitingJob, WaitingQueue
from farm.store.front import FrontReader, Look
from farm.store.survey import HostView, Survey


class Fronts:
    """Looks at the fronts of queues where that decides something; all others are dealt blind, which costs less."""

    def __init__(self, reader: FrontReader) -> None:
        self._reader = reader
        self._fronts: dict[str, Front] = {}
        self._dealt: dict[str, tuple[WaitingJob, ...]] = {}

    @property
    def is_restless(self) -> bool:
        """Something is still to be read before all jobs that fit can be dealt."""
        return any(front.is_restless for front in self._fronts.values())

    @property
    def queues(self) -> Set[str]:
        """Those whose jobs are dealt one by one."""
        return self._fronts.keys()

    def aside(self, queue: str) -> Collection[WaitingJob]:
        """The jobs of a queue that fit nowhere now."""
        front = self._fronts.get(queue)
        return () if front is None else front.aside

    def needs(self, queue: str) -> Needs:
        """What the apps of hosts say that the jobs of a queue need."""
        front = self._fronts.get(queue)
        return NONE if front is None else front.needs

    def needs_looks(self, queue: str) -> None:
        """A job that only some hosts may have comes next in this queue."""
        self._fronts.setdefault(queue, Front(queue))

    def forget(self) -> None:
        """Nothing is known: another led meanwhile."""
        self._fronts.clear()

    async def look(
        self,
        survey: Survey,
        needs: Mapping[str, Needs],
        waiting: Mapping[str, int],
        hosts: Sequence[HostView],
        costs: Costs,
    ) -> dict[str, WaitingQueue]:
        """What waits, as the plan takes it. `hosts` are those with room; `needs`: of all jobs of a queue.

        Raises redis-py's errors.
        """
        self._note(survey, needs)
        served = {queue for host in hosts for queue in host.queues}
        one_by_one = [queue for queue in self._fronts if queue in served and waiting.get(queue, 0) > 0]
        mixed = [queue for queue in _mixed(hosts, waiting, costs) if queue not in self._fronts]
        now = time.monotonic()
        looks = [(queue, self._fronts[queue].look(now)) for queue in one_by_one]
        looks += [(queue, Look(0, 0, _room(hosts, queue) - 1)) for queue in mixed]
        found = {queue: WaitingQueue(length) for queue, length in waiting.items()}
        self._dealt = {}
        if not looks:
            return found
        for (queue, _), seen in zip(looks, await self._reader.read(looks), strict=True):
            front = self._fronts.get(queue)
            if front is not None:
                self._dealt[queue] = jobs = front.see(seen, survey.now)
                found[queue] = WaitingQueue(len(jobs) + front.is_full_page, jobs, one_by_one=True)
            else:
                jobs = tuple(waiting_job(job, queue, NONE, survey.now) for job in seen.jobs)
                found[queue] = WaitingQueue(waiting[queue], jobs)
        return found

    def settle(self, plan: Plan, placed: Iterable[WaitingJob]) -> None:
        """What became of the jobs that were dealt one by one."""
        placed_ids: dict[str, set[bytes]] = {}
        for job in placed:
            placed_ids.setdefault(job.queue, set()).add(job.job_id)
        passed: dict[str, set[bytes]] = {}
        for job in plan.aside:
            passed.setdefault(job.queue, set()).add(job.job_id)
        for queue, jobs in self._dealt.items():
            front = self._fronts[queue]
            front.settle(jobs, placed_ids.get(queue, ()), passed.get(queue, ()))
            if not front.aside and not front.needs and not any(job.is_particular for job in jobs):
                del self._fronts[queue]

    def _note(self, survey: Survey, needs: Mapping[str, Needs]) -> None:
        """Which queues are to be dealt one by one."""
        for queue in survey.particular | needs.keys():
            self.needs_looks(queue)
        for queue, front in list(self._fronts.items()):
            front.needs = needs.get(queue, NONE)
            if survey.waiting.get(queue, 0) <= 0:
                front.forget()
                if not front.needs:
                    del self._fronts[queue]


def _mixed(hosts: Sequence[HostView], waiting: Mapping[str, int], costs: Costs) -> list[str]:
    """Queues with long jobs that cost so differently that it matters which comes next."""
    if not costs:
        return []
    long = {queue for host in hosts if host.prefetch == 0 for queue in host.queues}
    return [queue for queue in long if waiting.get(queue, 0) > 0 and costs.differ(queue)]


def _room(hosts: Sequence[HostView], queue: str) -> int:
    """How many jobs of a queue may be placed now, as far as they are looked at."""
    return min(PAGE, sum(host.room for host in hosts if queue in host.queues))
