"""What a host learned about how long jobs take: by function, as its name tells more than the queue does."""

from collections import deque

LATEST = 8
"""Jobs of a queue that tell what its next ones may be like."""

MOST_KEPT = 1000
"""Functions of a queue that are remembered."""

_MEMORY_SECONDS = 10.0
_JUMP = 4.0
"""So many times what was expected is no accident of the moment."""
_RISE, _FALL = 0.5, 0.1


class Durations:
    """Seconds that jobs run. One that is much longer counts at once. Times are on the monotonic clock."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}

    def observe(self, queue: str, function: bytes, seconds: float, now: float) -> None:
        """A job of `queue` took this long. `function`: what it says that it calls, empty if it says nothing."""
        known = self._queue(queue)
        known.latest.append(function)
        known.seen_at = now
        before = known.seconds.get(function)
        if before is None:
            known.learn(function, seconds)
        else:
            weight = _RISE if seconds > _JUMP * before else _FALL
            known.seconds[function] = before + weight * (seconds - before)
        before = known.undisturbed.setdefault(function, seconds)
        weight = _RISE if seconds < before else _FALL
        known.undisturbed[function] = before + weight * (min(seconds, _JUMP * before) - before)

    def observe_running(self, queue: str, function: bytes, seconds: float, now: float) -> None:
        """A job of `queue` has been running for this long and goes on."""
        known = self._queue(queue)
        if seconds > known.seconds.get(function, 0.0):
            known.latest.append(function)
            known.seen_at = now
            known.learn(function, seconds)

    def of(self, queue: str, function: bytes) -> float | None:
        """Seconds that such a job takes; None if none was seen."""
        known = self._queues.get(queue)
        return None if known is None else known.seconds.get(function)

    def expected(self, now: float) -> float | None:
        """Seconds that the next job takes, by the slowest of the latest of each queue; None if none was seen lately."""
        return max((queue.slowest() for queue in self._seen_lately(now)), default=None)

    def undisturbed(self, now: float) -> float:
        """Seconds that the next job takes if nothing holds it up, by the quickest of the latest; 0 if none is known."""
        return min((queue.quickest() for queue in self._seen_lately(now)), default=0.0)

    def _seen_lately(self, now: float) -> "list[_Queue]":
        return [queue for queue in self._queues.values() if now - queue.seen_at < _MEMORY_SECONDS]

    def _queue(self, name: str) -> "_Queue":
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = _Queue()
        return known


class _Queue:
    def __init__(self) -> None:
        self.seconds: dict[bytes, float] = {}
        """By function."""
        self.undisturbed: dict[bytes, float] = {}
        """The same, hardly moved by those that took longer: a process may have been kept from running."""
        self.latest: deque[bytes] = deque(maxlen=LATEST)
        """Functions of the jobs seen last."""
        self.seen_at = 0.0

    def learn(self, function: bytes, seconds: float) -> None:
        if function not in self.seconds and len(self.seconds) >= MOST_KEPT:
            self.seconds = {each: self.seconds[each] for each in self.latest if each in self.seconds}
            self.undisturbed = {}
        self.seconds[function] = seconds

    def slowest(self) -> float:
        return max(self.seconds.get(function, 0.0) for function in self.latest)

    def quickest(self) -> float:
        return min(self.undisturbed.get(function, 0.0) for function in self.latest)
