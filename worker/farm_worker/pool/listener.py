"""Who is told what a process does."""

from typing import TYPE_CHECKING, Protocol

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.protocol import Outcome, Output
from farm_worker.pool.reasons import ProcessEnd

if TYPE_CHECKING:
    from farm_worker.pool.process import ProcessHandle


class Listener(Protocol):
    """Who is told what a process does: the pool."""

    def on_created(self, process: "ProcessHandle") -> None: ...
    def on_started(self, process: "ProcessHandle") -> None: ...
    def on_ready(self, process: "ProcessHandle") -> None: ...
    def on_begun(self, process: "ProcessHandle", assignment: Assignment) -> None: ...
    def on_outcomes(self, process: "ProcessHandle", outcomes: list[tuple[Assignment, Outcome]]) -> None: ...
    def on_output(self, process: "ProcessHandle", assignment: Assignment | None, output: Output) -> None: ...
    def on_end(
        self, process: "ProcessHandle", end: ProcessEnd, begun: Assignment | None, unbegun: list[Assignment]
    ) -> None: ...
