"""What long jobs use while they run, as sampled each second: how much their process grew for them, and its CPU time.

Resident memory: pages that a job touches and shares with a template count as soon as the process was forked, so they
are no growth. Jobs that run beside each other in one process count with equal parts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.memory import resident
from farm_worker.pool.process import ProcessHandle

LEAST_SECONDS = 0.5
"""Jobs that run for less are measured at their end alone."""


@dataclass(frozen=True, slots=True)
class TreeSample:
    """A process with all that it started."""

    resident: int
    """Bytes, shared ones as well."""
    cpu_seconds: float | None
    """Since it began. None where no long job runs."""


class Growth:
    """Notes it in the assignments. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._idle: dict[int, int] = {}
        """Number of a process → bytes that it held when it had no job."""
        self._last_idle: int | None = None
        """The same of any of them."""
        self._first: dict[str, tuple[float, float]] = {}
        """Token of a job → when its process was sampled first under it, and its CPU time then."""

    def note_ready(self, process: ProcessHandle) -> None:
        """It is warm, and its first job may come before it is sampled without one."""
        held = resident(process.pid)
        if held:
            self._last_idle = self._idle[process.number] = held

    @staticmethod
    def busy(processes: Sequence[ProcessHandle], now: float) -> set[int]:
        """The pids of those with long jobs."""
        return {
            process.pid
            for process in processes
            if process.assignments and now - (process.assignments[0].begun_at or now) >= LEAST_SECONDS
        }

    def judge(self, processes: Sequence[ProcessHandle], samples: Mapping[int, TreeSample], now: float) -> None:
        """Takes note of samples by pid."""
        running = {process.number: process.running for process in processes}
        at_once = Counter[int]()  # threads have one pid
        for process in processes:
            at_once[process.pid] += len(running[process.number])
        first: dict[str, tuple[float, float]] = {}
        for process in processes:
            sample = samples.get(process.pid)
            if sample is None:
                continue
            if not at_once[process.pid]:
                self._last_idle = self._idle[process.number] = sample.resident
            idle = self._idle.setdefault(process.number, self._last_idle or sample.resident)
            for job in running[process.number]:
                grown = (sample.resident - idle) // at_once[process.pid]
                job.grown = max(job.grown, grown)
                if sample.cpu_seconds is not None:
                    job.samples += 1
                    begin = first[job.token] = self._first.get(job.token, (now, sample.cpu_seconds))
                    _note_cpu(job, (sample.cpu_seconds - begin[1]) / at_once[process.pid], now - begin[0], now)
        self._first = first
        self._idle = {
            process.number: self._idle[process.number] for process in processes if process.number in self._idle
        }


def _note_cpu(job: Assignment, cpu: float, seconds: float, now: float) -> None:
    """What was used since the first sample stands for the time before it as well."""
    if seconds > 0 and job.begun_at is not None:
        job.cpu_seconds = max(0.0, cpu) / seconds * (now - job.begun_at)
