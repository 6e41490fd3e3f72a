"""Forking a process of the pool: a child of the host that shares memory with the template and nothing else.

The template forks a go-between, which forks the new process and exits. So the new one loses its parent, and gets the
host as the next, which is a subreaper (`orphans`): the host can wait for it and hears how it ended. All that is done
before the process is asked for: it is the template's **reserve**, which waits for the host's next request.
"""

import errno
import os
import random
import select
import socket
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from farm_worker.pool.lines import ChildLines
from farm_worker.pool.surroundings import die_with_parent

LOOK_SECONDS = 0.0002
DIED_SECONDS = 0.1
"""Before a reserve that died is replaced: should each of them die at once, the template is not kept busy with them."""
_TAKEN, _NO_MORE = b"t", b"n"
_STDIN, _STDOUT, _STDERR = range(3)


def fork_reserve(tell: Callable[[int], None]) -> tuple[bool, int]:
    """True in the reserve, and its end of a pipe to the template; False in the template, and the other end.

    `tell` gets the reserve's pid before that takes a request. Raises OSError when there is no room for a process.
    """
    host = os.getppid()
    template_end, reserve_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        between = os.fork()
    except OSError:
        os.close(template_end)
        os.close(reserve_end)
        raise
    if between == 0:
        between = os.getpid()
        os.close(template_end)
        _fork_from_between(tell)
        _join(host, between)
        return True, reserve_end
    os.close(reserve_end)
    _, status = os.waitpid(between, 0)
    if code := os.waitstatus_to_exitcode(status):
        os.close(template_end)
        raise OSError(code, os.strerror(code))
    return False, template_end


def is_another_wanted(template_end: int) -> bool:
    """In the template: waits until the reserve was asked for, or has died. False when the host wants no more."""
    news = os.read(template_end, 1)
    os.close(template_end)
    if not news:
        time.sleep(DIED_SECONDS)
    return news != _NO_MORE


def wait_for_request(stream: socket.socket, reserve_end: int, tell: Callable[[], None]) -> ChildLines:
    """In the reserve: the lines of the process that it becomes. It ends here when the template or the host is gone.

    `tell` says that it was taken, before the template forks the next one and says that: the host would mix up the two.
    """
    waiting = select.poll()
    waiting.register(stream, select.POLLIN)
    waiting.register(reserve_end, 0)  # an error, once the template has no end of it
    if any(descriptor == reserve_end for descriptor, _ in waiting.poll()):
        os._exit(0)
    lines = ChildLines.receive(stream)
    if lines is None:
        os.write(reserve_end, _NO_MORE)
        os._exit(0)
    tell()
    os.write(reserve_end, _TAKEN)
    os.close(reserve_end)
    return lines


def _fork_from_between(tell: Callable[[int], None]) -> None:
    """In the go-between, which ends here. Returns in the reserve, which leads a group of its own."""
    try:
        pid = os.fork()
    except OSError as error:
        os._exit(error.errno or errno.EAGAIN)
    if pid:
        _leave(lambda: tell(pid))
    os.setpgid(0, 0)


def _leave(last: Callable[[], None]) -> NoReturn:
    try:
        last()
    finally:
        os._exit(0)


def _join(host: int, between: int) -> None:
    """In the reserve: waits until `between` is gone and `host` its parent; it dies with the host."""
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
