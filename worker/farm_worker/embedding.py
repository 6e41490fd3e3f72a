"""What is different in a host that runs inside of somebody else's program, as RQ's worker does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from farm_worker.early_commands import EarlyCommands
from farm_worker.limits import LimitPace
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.starter import Starter


@dataclass(frozen=True, slots=True)
class Embedding:
    """The defaults are those of a host that is a program of its own."""

    starter: Callable[[Callable[[int], Initialize]], Starter] | None = None
    """Makes the way of bringing up processes, from their first message; None: the settings say which."""
    pace: LimitPace = field(default_factory=LimitPace)
    is_prompt: bool = False
    """RQ's records of the worker and of what it runs follow each job at once, and not with the next regular beat."""
    commands: EarlyCommands | None = None
    """What listens to RQ's commands already."""


class PromptObserver:
    """Brings the beat forward whenever a job begins or ends."""

    def __init__(self, hurry: Callable[[], None]) -> None:
        self._hurry = hurry

    def process_created(self, process: ProcessHandle) -> None:
        """For the pool, as all that follows."""

    def process_started(self, process: ProcessHandle) -> None: ...

    def process_ready(self, process: ProcessHandle) -> None: ...

    def job_launched(self, process: ProcessHandle, assignment: Assignment) -> None:  # noqa: ARG002
        self._hurry()

    def jobs_finished(self, process: ProcessHandle, outcomes: Sequence[tuple[Assignment, Outcome]]) -> None:  # noqa: ARG002
        self._hurry()
