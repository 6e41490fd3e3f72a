"""Ways to bring up a process of the pool."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from signal import Signals
from typing import Protocol

from farm_worker.pool.lines import ChildLines
from farm_worker.pool.spawn import start_interpreter

CHILD_MODULE = "farm_worker.pool.child"


class Group(Protocol):
    """A process with all that it started, as the one who watches it sees it."""

    def signal(self, number: Signals) -> None: ...
    def signal_leader(self, number: Signals) -> None: ...


class Joined(Protocol):
    """Who shares a process with others: a thread's handle."""

    number: int

    def exited(self, code: int) -> None:
        """The process ended, with the return code of `subprocess`."""
        ...

    def spared(self, why: str) -> None:
        """The process is killed for the sake of another one. `exited` follows."""
        ...


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs."""

    pid: int
    reap: Callable[[], int | None]
    """Its return code as `subprocess` tells it, once it has ended; None while it runs."""
    join: "Callable[[Joined], Group] | None" = None
    """For what shares its process with others. Then nobody but the starter reaps it."""


def reap_child(pid: int) -> int | None:
    """The return code of a child of this process that was forked elsewhere; None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # reaped by somebody else: how it ended is not known
        return 1
    return os.waitstatus_to_exitcode(status) if ended else None


class Starter(Protocol):
    """Brings up processes, one way."""

    on_change: Callable[[], None]
    """Called when `ready` became true. Set by the one who starts processes."""

    @property
    def ready(self) -> bool:
        """Whether `start` may be called now."""
        ...

    @property
    def cheap(self) -> bool:
        """Whether one process more costs milliseconds and little memory."""
        ...

    @property
    def pids(self) -> Sequence[int]:
        """Processes that it needs for itself."""
        ...

    @property
    def reserve_pids(self) -> Sequence[int]:
        """Processes that were forked and not asked for yet."""
        ...

    @property
    def failures(self) -> int:
        """How often in a row it failed to get ready."""
        ...

    @property
    def unhealthy_reason(self) -> str | None:
        """Why it does not get ready, once that failed several times in a row."""
        ...

    def tend(self) -> None:
        """Starts what it needs, if that may be tried now, and ends what hangs. Called several times a second."""
        ...

    def renew(self, then: Callable[[], None]) -> None:
        """Gets ready anew, for new code; until then it starts processes with the old. Calls `then` once it is."""
        ...

    def release(self) -> None:
        """No process of the old code is left."""
        ...

    async def close(self) -> None:
        """Ends what it needed. What was asked for and not begun ends too."""
        ...

    def start(self, lines: ChildLines) -> Started | None:
        """Begins a process with these lines and closes them here. None: it will say itself that it was `Born`.

        What can't be begun later closes its lines: the host sees the end of the stream. Raises OSError.
        """
        ...


class Spawner:
    """A fresh interpreter for each process."""

    ready = True
    cheap = False
    pids: Sequence[int] = ()
    reserve_pids: Sequence[int] = ()
    failures = 0
    unhealthy_reason: str | None = None

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self.on_change: Callable[[], None] = _nothing
        self._environment = environment

    def tend(self) -> None:
        """There is nothing to tend."""

    def renew(self, then: Callable[[], None]) -> None:
        """Each interpreter imports the code as it is now."""
        then()

    def release(self) -> None:
        """There is nothing to release."""

    async def close(self) -> None:
        """There is nothing to close."""

    def start(self, lines: ChildLines) -> Started:
        """Takes a millisecond or two; the interpreter then needs a tenth of a second and more."""
        try:
            descriptors = [lines.stream, lines.tokens, lines.control, lines.stacks]
            child: subprocess.Popen[bytes] = start_interpreter(
                CHILD_MODULE, descriptors, self._environment, lines.output
            )
        finally:
            lines.close()
        return Started(child.pid, child.poll)


def _nothing() -> None:
    """Until somebody wants to know."""
