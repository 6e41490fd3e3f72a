"""Who is told what a pool does, but for the ends of processes: those concern its owner anyway."""

from collections.abc import Sequence
from typing import Protocol

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle


class Observer(Protocol):
    """Called on the loop's thread, each job included: neither blocks nor raises."""

    def process_created(self, process: ProcessHandle) -> None:
        """It is asked for; it has no pid yet."""

    def process_started(self, process: ProcessHandle) -> None:
        """It runs and has a pid."""

    def process_ready(self, process: ProcessHandle) -> None:
        """It is warm."""

    def job_launched(self, process: ProcessHandle, assignment: Assignment) -> None:
        """The job was sent to the process. It may come back unbegun, and be launched again."""

    def jobs_finished(self, process: ProcessHandle, outcomes: Sequence[tuple[Assignment, Outcome]]) -> None:
        """The process said how these jobs ended."""
