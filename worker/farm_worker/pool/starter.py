"""Ways to bring up a process of the pool."""

import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from farm_worker.pool.lines import ChildLines
from farm_worker.pool.spawn import start_interpreter

CHILD_MODULE = "farm_worker.pool.child"


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs."""

    pid: int
    reap: Callable[[], int | None]
    """Its return code as `subprocess` tells it, once it has ended; None while it runs."""


def reap_child(pid: int) -> int | None:
    """The return code of a child of this process that was forked elsewhere; None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:  # reaped by somebody else: how it ended is not known
        return 1
    return os.waitstatus_to_exitcode(status) if ended else None


class Starter(Protocol):
    """Brings up processes, one way."""

    def start(self, lines: ChildLines) -> Started | None:
        """Begins a process with these lines and closes them here. None: it will say itself that it was `Born`.

        What can't be begun later closes its lines: the host sees the end of the stream. Raises OSError.
        """
        ...


class Spawner:
    """A fresh interpreter for each process."""

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        self._environment = environment

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
