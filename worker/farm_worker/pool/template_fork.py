"""Forking a process of the pool: a child of the host that shares memory with the template and nothing else.

The template forks a go-between, which waits for a request, forks the new process and exits. So the new one loses its
parent, and gets the host as the next, which is a subreaper (`orphans`): the host can wait for it and hears how it
ended. And when a request comes, the first of the two copies was made before.
"""

import os
import random
import sys
import time
import weakref
from typing import Any

from farm_worker.pool.lines import ChildLines
from farm_worker.pool.surroundings import die_with_parent

LOOK_SECONDS = 0.0002
NO_ROOM_SECONDS = 0.1
"""Between two attempts to fork where the system has no room for another process."""
_STDIN, _STDOUT, _STDERR = range(3)


def fork_between() -> int:
    """Forks a go-between, as soon as there is room for it: its pid, and 0 in itself. It dies with the template."""
    sys.stdout.flush()
    sys.stderr.flush()
    while True:
        try:
            pid = os.fork()
        except OSError:
            time.sleep(NO_ROOM_SECONDS)
            continue
        if pid == 0:
            die_with_parent()
        return pid


def fork_process() -> bool:
    """In the go-between: True in the new process, which leads a group of its own. Raises OSError."""
    if os.fork():
        return False
    os.setpgid(0, 0)
    return True


def join(host: int, between: int) -> None:
    """In the new process: waits until `between` is gone and `host` its parent; it dies with the host."""
    while (parent := os.getppid()) == between:
        time.sleep(LOOK_SECONDS)
    if parent != host:
        os._exit(1)
    die_with_parent()
    if os.getppid() != host:
        os._exit(1)


def take_output(lines: ChildLines) -> ChildLines:
    """Nothing to read, and what is written goes to the host."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.dup2(lines.output, _STDOUT)
    os.dup2(lines.output, _STDERR)
    os.close(nothing)
    os.close(lines.output)
    return ChildLines(lines.stream, lines.tokens, lines.control, lines.stacks, _STDOUT)


def reseed() -> None:
    """Processes of one template would all draw the same numbers."""
    random.seed()
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None:
        numpy.seed()


def spare_finalizers() -> None:
    """A temporary folder that the template made, for one, is not removed by the first of its processes that ends."""
    for finalizer in list(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public
        finalizer.atexit = False
