"""A template that is forked from the program itself, not started as an interpreter of its own.

What the program has made is there in each process: its modules, and objects that have no name by which a fresh
interpreter could import them. The fork belongs before the event loop starts, while no thread of ours runs.
"""

import atexit
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from farm_settings import PoolSettings
from farm_worker.pool import warmth, work  # noqa: F401 - processes find them imported
from farm_worker.pool.entry import enter
from farm_worker.pool.given import Given
from farm_worker.pool.leaving import leave
from farm_worker.pool.loaded import Loaded
from farm_worker.pool.protocol import Initialize, TemplateReady
from farm_worker.pool.spawn import Spawned
from farm_worker.pool.starter import reap_child
from farm_worker.pool.template import Template
from farm_worker.pool.template_child import serve_requests
from farm_worker.pool.template_process import TemplateProcess


@dataclass(slots=True)
class ForkedChild:
    """A forked child, as a `Popen` shows a spawned one."""

    pid: int
    returncode: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        """Its return code once it has ended; None while it runs."""
        if self.returncode is None:
            self.returncode = reap_child(self.pid)
        return self.returncode


def fork_caller(given: Given) -> Spawned:
    """Forks this program. The child serves as a template until its stream is closed. Raises OSError."""
    stream, child_stream = socket.socketpair()
    for output in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            output.flush()
    pid = os.fork()
    if pid == 0:
        stream.close()
        _be_template(child_stream.detach(), given)
    child_stream.close()
    stream.setblocking(False)
    return Spawned(ForkedChild(pid), stream)


def end_unused(child: Spawned) -> None:
    """Ends what no host has taken over."""
    child.stream.close()
    with suppress(ProcessLookupError):
        os.kill(child.process.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(child.process.pid, 0)


class CallerTemplate(Template):
    """A Starter. The first template was forked before there was a loop; should it die, the program is forked again."""

    def __init__(
        self, settings: PoolSettings, initialize: Callable[[], Initialize], given: Given, first: Spawned
    ) -> None:
        super().__init__(settings, initialize, None)
        self._given = given
        self._first: Spawned | None = first

    def _bring_up(self) -> TemplateProcess:
        first, self._first = self._first, None
        return _CallerProcess(first or fork_caller(self._given))


class _CallerProcess(TemplateProcess):
    def __init__(self, forked: Spawned) -> None:
        self._forked = forked
        super().__init__("caller", None)

    def _spawn(self, *_: object) -> Spawned:
        return self._forked


def _be_template(stream: int, given: Given) -> None:
    """The rest of the forked process's life. Nothing of the caller runs in it any more, not even at its end."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        os.setpgid(0, 0)
        atexit._clear()  # noqa: SLF001 - what the caller wants done at its end is done by the caller
        code = _serve(stream, given)
    except BaseException:  # noqa: BLE001 - what is left to say before the end
        traceback.print_exc()
    finally:
        leave(code)


def _serve(stream: int, given: Given) -> int:
    entry = enter(stream)
    if entry is None:
        return 0
    gc.freeze()
    entry.output.finish()
    if not entry.inlet.send(TemplateReady(0.0, "")):
        return 0
    return serve_requests(entry.inlet.release(), Loaded(None, {}, given.connection, given))
