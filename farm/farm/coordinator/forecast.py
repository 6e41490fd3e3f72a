"""What load and memory hosts are expected to have, as a plan gives them jobs. Values of one plan; nothing is kept.

A host tells its load once a second, and as a mean over the last seconds: what it was given since is not in it, or only
in part. So each job is charged at once with what its function used before, and a job that a host holds counts with the
cost of what runs there, if that is more than the host shows.
"""

from collections import defaultdict
from collections.abc import Sequence

from farm.coordinator.costs import Cost, Costs
from farm.coordinator.waiting import MEGABYTE, WaitingJob
from farm.store.survey import HostView

LEAST_COST = 0.001
"""Of one job, as a share of a host: keeps hosts with unmeasurably small jobs taking turns."""
LEAST_CPUS = 0.05


def cost_of_a_job(host: HostView) -> float:
    """How much one more job is expected to add to the host's load, if nothing is known of its function.

    One slot's share of the host, until its jobs turn out to cost less: load per busy slot, which counts load caused by
    others as the jobs' own and so errs on the careful side.
    """
    share = 1 / max(host.slots, 1)
    if host.busy > 0:
        share = min(share, host.load / host.busy)
    return max(share, LEAST_COST)


class Forecast:
    """Load and memory of some hosts, by index. Hosts on one machine share what is added, each by the CPUs it has."""

    def __init__(self, hosts: Sequence[HostView], costs: Costs) -> None:
        self._hosts = hosts
        self._loads = [host.load for host in hosts]
        """With what is added to each alone."""
        self._machines = [host.boot_id or host.name for host in hosts]
        self._shared = _Shared(hosts, self._machines) if len(set(self._machines)) < len(hosts) else None
        self._shares: dict[int, float] = {}
        """Of hosts that got jobs of which nothing is known: what one adds."""
        self._memory: defaultdict[str, int] = defaultdict(int)
        """Bytes added to each machine."""
        knows = bool(costs)
        for index, host in enumerate(hosts):
            if host.held > host.assigned or (knows and host.held > 0):
                self._count_held(index, host, costs)

    def _count_held(self, index: int, host: HostView, costs: Costs) -> None:
        """What the host holds, but does not show yet."""
        unseen = host.held - host.assigned
        cost = costs.of_running(host.queues)
        if cost is not None and unseen > 0:
            self._memory[self._machines[index]] += unseen * cost.memory
        if cost is not None and host.load_source != "app":
            run = min(host.held, host.slots) * cost.cpus / max(host.cpu_count, LEAST_CPUS)
            self._add(index, max(0.0, host.others_load + run - host.load))
        elif unseen > 0:
            self._add(index, unseen * cost_of_a_job(host))

    @property
    def is_shared(self) -> bool:
        """Whether hosts share a machine."""
        return self._shared is not None

    def load(self, index: int) -> float:
        """The load of a host, with all that it is to get; may be more than 1."""
        load = self._loads[index]
        return load if self._shared is None else max(load, self._hosts[index].load + self._shared.added(index))

    def memory_left(self, index: int) -> int | None:
        """Bytes until the host's line; may be below 0. None: not known."""
        left = self._hosts[index].memory_left
        return None if left is None else left - self._memory[self._machines[index]]

    def would_pass_line(self, index: int, cost: Cost | None) -> bool:
        """Whether one more such job is expected to need memory over the line."""
        if cost is None or cost.memory == 0:
            return False
        left = self.memory_left(index)
        return left is not None and left < cost.memory

    def has_room_for(self, index: int, job: WaitingJob) -> bool:
        """Whether the host has the memory that the job asks for."""
        if job.memory_mb <= 0:
            return True
        left = self.memory_left(index)
        return left is not None and left >= job.memory

    def charge(self, index: int, cost: Cost | None, memory_mb: int = 0) -> None:
        """The host gets a job. `cost`: what its function used before, if known."""
        share = self._share(index) if cost is None else self._measured_share(index, cost)
        self._add(index, share)
        if memory_mb or cost is not None:
            memory = max(memory_mb * MEGABYTE, 0 if cost is None else cost.memory)
            self._memory[self._machines[index]] += memory

    def _measured_share(self, index: int, cost: Cost) -> float:
        host = self._hosts[index]
        if host.load_source == "app":  # what CPUs mean to the app's own load nobody knows
            return self._share(index)
        return max(cost.cpus / max(host.cpu_count, LEAST_CPUS), LEAST_COST)

    def _share(self, index: int) -> float:
        if index not in self._shares:
            self._shares[index] = cost_of_a_job(self._hosts[index])
        return self._shares[index]

    def _add(self, index: int, share: float) -> None:
        self._loads[index] += share
        if self._shared is not None:
            self._shared.add(index, share)


class _Shared:
    """What hosts add to their machines, as a share of the machine's CPUs."""

    def __init__(self, hosts: Sequence[HostView], machines: Sequence[str]) -> None:
        self._machines = machines
        self._cpus = [max(host.cpu_count, LEAST_CPUS) for host in hosts]
        self._of_machine: dict[str, float] = {}
        """CPUs: no fewer than the host has that has most."""
        self._added = dict.fromkeys(machines, 0.0)
        for machine, cpus in zip(machines, self._cpus, strict=True):
            self._of_machine[machine] = max(cpus, self._of_machine.get(machine, 0.0))

    def add(self, index: int, share: float) -> None:
        machine = self._machines[index]
        self._added[machine] += share * self._cpus[index] / self._of_machine[machine]

    def added(self, index: int) -> float:
        return self._added[self._machines[index]]
