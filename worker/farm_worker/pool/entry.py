"""How every process begins that a host starts for the user's code: it is told what it is for, then each does its own.

Hooks, handlers, runners, the template and the process of threads `enter`. Processes of the pool, some of which were
forked, do other things before they are told.
"""

import time
from dataclasses import dataclass

from farm_worker.pool.failure import explain
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.output import ProcessOutput, take_over_output
from farm_worker.pool.protocol import Initialize, InitializeFailed
from farm_worker.pool.surroundings import die_with_parent, restore_environment, take_signals

INITIALIZE_FAILED = 3
"""Exit code after InitializeFailed was sent."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A process that was told what it is for."""

    inlet: Inlet
    initialize: Initialize
    output: ProcessOutput
    begun: float
    """Monotonic seconds."""

    def fail(self, error: BaseException) -> int:
        """Says why it can't do it. Returns the exit code."""
        self.output.finish()
        self.inlet.send(InitializeFailed(explain(error)))
        return INITIALIZE_FAILED


def enter(stream_descriptor: int) -> Entry | None:
    """What comes before any code of the user. None when the host is gone already."""
    begun = time.monotonic()
    die_with_parent()
    take_signals()
    return be_told(Inlet(stream_descriptor), begun)


def be_told(inlet: Inlet, begun: float) -> Entry | None:
    """Waits for the first message, and takes the environment and the output that it asks for. None when none comes."""
    initialize = inlet.receive()
    if not isinstance(initialize, Initialize):
        return None
    restore_environment(initialize)
    return Entry(inlet, initialize, take_over_output(inlet.say, initialize.log_level), begun)
