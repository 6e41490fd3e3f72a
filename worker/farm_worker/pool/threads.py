"""EXECUTOR=thread: one process whose threads run the jobs. For jobs that wait, where memory for processes is short.

A thread has no memory, signals or folder of its own and can't be killed. So what would kill a process of the pool kills
the one process with all of its threads: the others' jobs go back to their queues, and nobody blames them.
"""

import asyncio
import logging
from functools import partial
from signal import SIGKILL, Signals
from weakref import WeakSet

from farm_worker.pool.lines import ChildLines
from farm_worker.pool.starter import Joined, Started
from farm_worker.pool.template import Template
from farm_worker.pool.template_process import TemplateProcess

_logger = logging.getLogger(__name__)


class Threads(Template):
    """A Starter of threads. Their process is kept up as a template is."""

    module = "farm_worker.pool.threads_child"

    @property
    def cheap(self) -> bool:
        """Never: a thread too many costs little, but what its `@app.prewarm` opens may not."""
        return False

    def _ask(self, process: TemplateProcess, lines: ChildLines) -> Started:
        process.hand(lines)
        return Started(process.pid, _never, partial(_Thread, process))


class _Thread:
    """One thread, as its handle sees its process."""

    def __init__(self, process: TemplateProcess, handle: Joined) -> None:
        self._process = process
        self._handle = handle
        members = _members.setdefault(process, WeakSet())
        if not members:
            process.exited.add_done_callback(partial(_tell_end, process))
        members.add(handle)

    def signal(self, number: Signals) -> None:
        """KILL is for the whole process; all else a thread can't hear."""
        if number is not SIGKILL or self._process.exited.done():
            return
        others = [handle for handle in _members.get(self._process, ()) if handle is not self._handle]
        _logger.warning(
            "process %d is killed with all of its threads, as process %d of the pool has to end",
            self._process.pid,
            self._handle.number,
        )
        for handle in others:
            handle.spared(f"its process {self._process.pid} was killed to end process {self._handle.number}")
        self._process.kill()

    def signal_leader(self, number: Signals) -> None:
        """Nothing writes the stack of one thread."""


_members: "dict[TemplateProcess, WeakSet[Joined]]" = {}


def _tell_end(process: TemplateProcess, exited: "asyncio.Future[int]") -> None:
    for handle in list(_members.pop(process, ())):
        handle.exited(exited.result())


def _never() -> int | None:
    """The starter waits for the process, not its threads."""
    return None
