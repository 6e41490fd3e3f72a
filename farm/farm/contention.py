"""How long jobs wait for a CPU while others run. Pure: numbers in, numbers out.

Each of so many jobs uses a CPU for a while, then waits for something else, and another takes its place when it ends.
The CPUs are shared fairly by all that want one, as the kernel does. In such a closed network the time that jobs wait
follows from their means alone (Baskett, Chandy, Muntz, Palacios 1975: delay and processor-sharing stations).
"""

import math
from dataclasses import dataclass

ALL_BUSY = 0.97
"""The share of the CPUs that counts as all of them: no number of jobs that wait for other things reaches 1."""

_NO_PAUSE = 1e-9
"""Waiting below this part of the CPU time is none."""
_SMALL = 1e-15
"""States that are so much rarer than all others do not count."""
_LARGE = 1e200
_MANY = 1e7
"""Jobs beside which those that wait for a CPU do not count."""


@dataclass(frozen=True, slots=True)
class Contention:
    """Jobs of one kind on the CPUs of one machine."""

    cpu_seconds: float
    """Of one job: above 0."""
    pause_seconds: float
    """In which the job needs no CPU."""
    cores: float
    """CPUs that jobs may use. A quota may make it a fraction."""
    parallel: float = 1.0
    """CPUs that one job uses at once outside its pauses. Never more than there are."""

    @property
    def alone(self) -> float:
        """CPUs busy with one job, were it never to wait for one."""
        at_most = min(self.parallel, self.cores)
        return self.cpu_seconds / (self.cpu_seconds / at_most + self.pause_seconds)

    def busy(self, jobs: float) -> float:
        """CPUs busy with so many jobs. Between whole numbers of jobs: the straight line."""
        if jobs > _MANY:
            return min(jobs * self.alone, self.cores)
        below = math.floor(jobs)
        busy = self._busy(below)
        return busy if below == jobs else busy + (jobs - below) * (self._busy(below + 1) - busy)

    def seconds(self, jobs: float) -> float:
        """What one of so many jobs takes from start to end (Little's law)."""
        return jobs * self.cpu_seconds / self.busy(jobs)

    def jobs_at(self, busy: float) -> float:
        """Jobs at once that keep so many CPUs busy, or ALL_BUSY of all, where that is less. A fraction.

        At least as many as it were if none ever waited for a CPU: to keep the last part of a CPU busy takes more jobs
        than any machine should have.
        """
        unhindered = busy / self.alone
        if unhindered > _MANY:
            return unhindered
        wanted = min(busy, ALL_BUSY * self.cores)
        below, step = math.floor(min(unhindered, wanted / self.alone)), 1
        while self._busy(below + step) < wanted:
            below, step = below + step, 2 * step
        above = below + step
        while above - below > 1:
            middle = (below + above) // 2
            below, above = (middle, above) if self._busy(middle) < wanted else (below, middle)
        at_below = self._busy(below)
        return max(unhindered, below + (wanted - at_below) / (self._busy(above) - at_below))

    def _busy(self, jobs: int) -> float:
        if self.pause_seconds <= _NO_PAUSE * self.cpu_seconds:
            return min(jobs * self.parallel, self.cores)
        offered = self.cpu_seconds / self.pause_seconds
        weight = every = 1.0  # of the states in which 0, 1, 2, … jobs want a CPU
        busy = 0.0
        for wanting in range(1, jobs + 1):
            used = min(wanting * self.parallel, self.cores)
            factor = (jobs - wanting + 1) * offered / used
            weight *= factor
            every += weight
            busy += weight * used
            if weight > _LARGE:
                weight, every, busy = weight / _LARGE, every / _LARGE, busy / _LARGE
            if factor < 1 and weight < _SMALL * every:
                break
        return busy / every
