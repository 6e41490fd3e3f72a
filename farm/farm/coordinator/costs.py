"""What a job of a function, or of a queue, is expected to use of its host. Pure: built from what was measured."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol


class MeasuredUsage(Protocol):
    """The part of a function's measured usage that counts here."""

    @property
    def queue(self) -> str: ...
    @property
    def function(self) -> str: ...
    @property
    def jobs(self) -> float: ...
    @property
    def cpus(self) -> float: ...
    @property
    def memory(self) -> int: ...
    @property
    def wall_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one running job."""

    cpus: float
    """Mean number of cores that it keeps busy."""
    memory: int
    """Bytes that it adds."""


LEAST_CPUS = 0.05
"""Jobs that use less of a core than this are all the same to a host."""


class Costs:
    """Costs by function and by queue. None: nothing is known."""

    def __init__(self, usage: Iterable[MeasuredUsage] = ()) -> None:
        self._mix: dict[str, list[tuple[Cost, float, float]]] = {}
        """Of each queue: the cost of a function, how often its jobs came, and the time that they took up."""
        self._of_function: dict[tuple[str, str], Cost] = {}
        for each in usage:
            if each.jobs <= 0:
                continue
            cost = Cost(max(each.cpus, 0.0), max(each.memory, 0))
            self._of_function[each.queue, each.function] = cost
            weighed = (cost, each.jobs, each.jobs * max(each.wall_seconds, 0.0))
            self._mix.setdefault(each.queue, []).append(weighed)
        self._of_next = {queue: _mean((cost, jobs) for cost, jobs, _ in mix) for queue, mix in self._mix.items()}
        self._differing = frozenset(queue for queue, mix in self._mix.items() if _differ([cost for cost, *_ in mix]))
        self.most_memory = max((cost.memory for cost in self._of_function.values()), default=0)
        """Bytes that a job of the function with the most memory adds."""
        self._of_running: dict[tuple[str, ...], Cost | None] = {}

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self._of_function)

    def of(self, queue: str, function: str) -> Cost | None:
        """Of a job of this function in this queue."""
        return self._of_function.get((queue, function))

    def of_queue(self, queue: str) -> Cost | None:
        """Of the next job of a queue, whichever it is: the mean of its functions, each as often as its jobs came."""
        return self._of_next.get(queue)

    def differ(self, queue: str) -> bool:
        """Whether it matters which of a queue's functions comes next."""
        return queue in self._differing

    def of_running(self, queues: tuple[str, ...]) -> Cost | None:
        """Of a job that runs now on a host of these queues: the mean of all functions, each by the time it takes up."""
        if queues not in self._of_running:  # hosts have few different lists
            mix = [each for queue in queues for each in self._mix.get(queue, ())]
            self._of_running[queues] = _mean((cost, seconds) for cost, _, seconds in mix)
        return self._of_running[queues]


def _differ(costs: list[Cost]) -> bool:
    cpus = [cost.cpus for cost in costs]
    return max(cpus) > 2 * min(cpus) and max(cpus) > LEAST_CPUS


def _mean(weighed: Iterable[tuple[Cost, float]]) -> Cost | None:
    """None if nothing has a weight."""
    known = list(weighed)
    total = sum(weight for _, weight in known)
    if total <= 0:
        return None
    cpus = sum(cost.cpus * weight for cost, weight in known) / total
    return Cost(cpus, round(sum(cost.memory * weight for cost, weight in known) / total))


NOTHING_KNOWN = Costs()
