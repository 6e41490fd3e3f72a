"""How many hosts a farm wants. Pure: facts in, a number and its reason out.

What has to be done is counted in slots: a job that takes longer than the backlog may take needs a slot of its own, a
shorter one a part of one, as one slot works off several of them in that time. Hosts are divided by what one carries.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WITHIN_SECONDS = 30.0
"""How soon what waits should be worked off, unless somebody says otherwise."""
MOST_HOSTS = 100
"""Unless somebody says otherwise: a number that comes from a backlog must end somewhere."""


@dataclass(frozen=True, slots=True)
class QueueWork:
    """What one queue asks for."""

    waiting: int
    running: int
    durations: tuple[tuple[float, float], ...] = ()
    """Of its functions as far as measured: how often one comes, and the seconds that its jobs take on average."""

    def slots_per_job(self, within: float) -> float:
        """How many slots a job needs for the backlog to be gone in that time: 1 at most, and 1 if nothing is known."""
        total = sum(weight for weight, _ in self.durations)
        if total <= 0:
            return 1.0
        return sum(weight * min(1.0, seconds / within) for weight, seconds in self.durations) / total


@dataclass(frozen=True, slots=True)
class HostWork:
    """What one host of these queues does. Hosts that drain or are lost are not told of: they are on their way out."""

    slots: int
    running: int
    is_full: bool
    """By load or memory: it takes no more than it holds, whatever slots it has."""
    holds: int = 0
    """If it is full: how many jobs it may hold."""
    is_unhealthy: bool = False

    @property
    def carries(self) -> int:
        """Jobs at a time, now: what a full host holds, the slots of another; 0 for one that takes nothing."""
        if self.is_unhealthy:
            return 0
        return min(max(self.running, self.holds), max(self.slots, self.running)) if self.is_full else self.slots


@dataclass(frozen=True, slots=True)
class ScaleFacts:
    """A farm, or the part of it that serves some queues."""

    queues: tuple[QueueWork, ...] = ()
    hosts: tuple[HostWork, ...] = ()
    placed: int = 0
    """Jobs that these hosts were given and have not begun."""
    suspended: bool = False
    """RQ is: nothing of what waits may start."""


@dataclass(frozen=True, slots=True)
class ScaleWishes:
    """What whoever scales wants."""

    within: float = WITHIN_SECONDS
    """Seconds in which what waits should be worked off."""
    least: int = 0
    most: int = MOST_HOSTS
    jobs_per_host: float | None = None
    """Instead of what the hosts carry now."""
    keep_busy: bool = False
    """Never fewer hosts than those that run something."""


def jobs_per_host(facts: ScaleFacts, wishes: ScaleWishes) -> float | None:
    """How many jobs a further host is expected to carry: the mean of those that carry any, else of their slots.

    None: nothing tells.
    """
    if wishes.jobs_per_host is not None:
        return wishes.jobs_per_host
    carried = [host.carries for host in facts.hosts if host.carries > 0]
    told = carried or [host.slots for host in facts.hosts if host.slots > 0]
    return sum(told) / len(told) if told else None


def slots_needed(facts: ScaleFacts, wishes: ScaleWishes) -> float:
    """Slots for what runs and waits. What runs needs its own at least, so that hosts which go leave room for it."""
    running = sum(host.running for host in facts.hosts)
    if facts.suspended:
        return float(running)
    known = sum(queue.running for queue in facts.queues)
    share = sum(queue.running * queue.slots_per_job(wishes.within) for queue in facts.queues) / known if known else 1.0
    waiting = sum(queue.waiting * queue.slots_per_job(wishes.within) for queue in facts.queues)
    # what was placed left its queue; the mean over what waits and runs is as near as one gets
    weights = [queue.slots_per_job(wishes.within) for queue in facts.queues if queue.waiting or queue.running]
    placed = facts.placed * (sum(weights) / len(weights) if weights else 1.0)
    return max(float(running), running * share + waiting + placed)


def desired_hosts(facts: ScaleFacts, wishes: ScaleWishes) -> tuple[int, str]:
    """How many hosts there should be, and why, in a sentence with the numbers."""
    needed = slots_needed(facts, wishes)
    per_host = jobs_per_host(facts, wishes)
    text = f"{_work(facts, wishes)}: {_amount(needed, 'slot')}"
    if needed == 0:
        wanted = 0
    elif per_host is None:
        wanted, text = 1, f"{text}; no host tells how many jobs one carries: 1 to begin with"
    else:
        wanted = math.ceil(round(needed / per_host, 6))
        text += f"; a host carries {_number(per_host)}{_source(facts, wishes)}: {_plural(wanted, 'host')}"
        idle, others = _that_take_nothing(facts.hosts)
        if idle:
            wanted += idle
            text += f", and {idle} for the {others} that take{'s' if others == 1 else ''} nothing now"
    busy = sum(host.running > 0 for host in facts.hosts)
    if wishes.keep_busy and busy > wanted:
        wanted, text = busy, f"{text}, but {busy} run jobs"
    if wanted < wishes.least:
        return wishes.least, f"{text}, but at least {wishes.least}"
    if wanted > wishes.most:
        return wishes.most, f"{text}, but at most {wishes.most}"
    return wanted, text


def _that_take_nothing(hosts: Sequence[HostWork]) -> tuple[int, int]:
    """Hosts to have in their place, and how many they are.

    As many as carry something at most, or one: where new hosts take nothing, too, more of them are no help.
    """
    others = sum(host.carries == 0 for host in hosts)
    return min(others, max(1, len(hosts) - others)), others


def _work(facts: ScaleFacts, wishes: ScaleWishes) -> str:
    running = sum(host.running for host in facts.hosts)
    waiting = sum(queue.waiting for queue in facts.queues) + facts.placed
    if facts.suspended and waiting:
        return f"{running} run, and {waiting} cannot start as RQ is suspended"
    text = f"{running} run and {waiting} wait"
    if not waiting:
        return text
    seconds = _mean_seconds(facts.queues)
    if seconds is None:
        return f"{text}, each with a slot of its own as nothing is known of how long they take"
    return f"{text}, {_number(seconds)} s each by what was measured, to be done in {_number(wishes.within)} s"


def _mean_seconds(queues: Sequence[QueueWork]) -> float | None:
    """Of the jobs that wait, as far as it is known of their queues."""
    jobs = total = 0.0
    for queue in queues:
        weight = sum(weight for weight, _ in queue.durations)
        if weight > 0:
            jobs += queue.waiting
            total += queue.waiting * sum(weight * seconds for weight, seconds in queue.durations) / weight
    return total / jobs if jobs else None


def _source(facts: ScaleFacts, wishes: ScaleWishes) -> str:
    if wishes.jobs_per_host is not None:
        return " (given)"
    full = sum(host.is_full and host.carries > 0 for host in facts.hosts)
    carrying = sum(host.carries > 0 for host in facts.hosts)
    if not full:
        return " (its slots)"
    return " (what it holds while full)" if full == carrying else f" (on average; {full} of {carrying} are full)"


def _amount(number: float, noun: str) -> str:
    return f"{_number(number)} {noun}{'' if number == 1 else 's'}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _number(value: float) -> str:
    """As many digits as say something."""
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.3g}"
