"""What a host learned about how long jobs take: by function, as its name tells more than the queue does."""

from collections import deque
from dataclasses import dataclass
from math import inf

from farm_worker.prefetch import is_long

LATEST = 8
"""Jobs of a queue that tell what its next ones may be like."""

MOST_KEPT = 1000
"""Functions of a queue that are remembered."""

_MEMORY_SECONDS = 10.0
_JUMP = 4.0
"""So many times what was expected, and so long that nothing may wait behind it, is no accident of the moment."""
_AT_MOST = 2.0
"""No other job counts as more than so many times what was expected: the machine may have stood still."""
_RISE, _FALL = 0.5, 0.1


@dataclass(slots=True)
class Duration:
    """What is known of how long a function takes, in seconds."""

    seconds: float
    undisturbed: float = 0.0
    """The same, hardly moved by jobs that took longer: a process may have been kept from running. 0: nothing is known,
    as none of them has ended."""

    def observe(self, taken: float) -> None:
        """Another one took so long."""
        if taken > _JUMP * self.seconds and is_long(taken):
            self.seconds += _RISE * (taken - self.seconds)
        else:
            self.seconds += _FALL * (min(taken, _AT_MOST * self.seconds) - self.seconds)
        if self.undisturbed == 0:
            self.undisturbed = taken
        elif taken < self.undisturbed:
            self.undisturbed += _RISE * (taken - self.undisturbed)
        else:
            self.undisturbed += _FALL * (min(taken, _JUMP * self.undisturbed) - self.undisturbed)


class Durations:
    """Seconds that jobs run. One that is much longer counts at once. Times are on the monotonic clock."""

    def __init__(self) -> None:
        self._queues: dict[str, _Queue] = {}
        self._expected: float | None = None
        """As it was computed last; good until something is observed, or forgotten."""
        self._expected_until = -inf

    def observe(self, queue: str, function: bytes, seconds: float, now: float) -> None:
        """A job of `queue` took this long. `function`: what it says that it calls, empty if it says nothing."""
        known = self._queue(queue)
        known.latest.append(function)
        known.seen_at = now
        before = known.functions.get(function)
        if before is None:
            known.learn(function, Duration(seconds, seconds))
        else:
            before.observe(seconds)

    def observe_running(self, queue: str, function: bytes, seconds: float, now: float) -> None:
        """A job of `queue` has been running for this long and goes on."""
        known = self._queue(queue)
        before = known.functions.get(function)
        if before is None:
            before = known.learn(function, Duration(0.0))
        if seconds > before.seconds:
            known.latest.append(function)
            known.seen_at = now
            before.seconds = seconds

    def of(self, queue: str, function: bytes) -> Duration | None:
        """What such a job takes; None if none was seen."""
        known = self._queues.get(queue)
        return None if known is None else known.functions.get(function)

    def expected(self, now: float) -> float | None:
        """Seconds that the next job takes, by the slowest of the latest of each queue; None if none was seen lately."""
        if now >= self._expected_until:
            lately = [queue for queue in self._queues.values() if now - queue.seen_at < _MEMORY_SECONDS]
            self._expected = max((queue.slowest() for queue in lately), default=None)
            self._expected_until = min((queue.seen_at for queue in lately), default=inf) + _MEMORY_SECONDS
        return self._expected

    def _queue(self, name: str) -> "_Queue":
        """For something that is observed of it."""
        self._expected_until = -inf
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = _Queue()
        return known


class _Queue:
    def __init__(self) -> None:
        self.functions: dict[bytes, Duration] = {}
        self.latest: deque[bytes] = deque(maxlen=LATEST)
        """Functions of the jobs seen last."""
        self.seen_at = 0.0

    def learn(self, function: bytes, duration: Duration) -> Duration:
        if len(self.functions) >= MOST_KEPT:
            self.functions = {each: self.functions[each] for each in self.latest if each in self.functions}
        self.functions[function] = duration
        return duration

    def slowest(self) -> float:
        return max((self.functions[function].seconds for function in {*self.latest}), default=0.0)
