"""The body of the template: `python -P -m farm_worker.pool.template_child STREAM` (a descriptor).

It imports the app, runs its preload functions, says so, then forks one process for each request: a byte with the
descriptors of that process's lines. A forked process is a child of the host, not of the template (`template_fork`).
"""

import gc
import os
import socket
import sys
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from farm_worker.pool import template_fork
from farm_worker.pool.child import serve
from farm_worker.pool.entry import enter
from farm_worker.pool.leaving import leave
from farm_worker.pool.lines import ChildLines
from farm_worker.pool.protocol import (
    Born,
    Forked,
    Initialize,
    InitializeFailed,
    TemplateReady,
    encode,
)
from farm_worker.pool.surroundings import use_path
from farm_worker.pool.template_memory import in_one_piece
from farm_worker.pool.template_safety import end_sockets, why_unsafe

if TYPE_CHECKING:
    from farm_worker.pool.loaded import Loaded

LINES = 5
"""Descriptors in a request."""
_NO_MORE = 4
"""Exit code of a go-between: the host has closed the stream."""


@dataclass(frozen=True, slots=True)
class _Request:
    """A process that the host asked for."""

    lines: ChildLines
    begun: float
    """Monotonic seconds."""
    between: int
    """Who forks it."""


def main(arguments: list[str]) -> int:
    """The exit code of the template, or of a process that was forked from it."""
    entry = enter(int(arguments[0]))
    if entry is None:
        return 0
    try:
        with in_one_piece():
            loaded = load_all(entry.initialize)
            gc.collect()
            gc.freeze()  # collections in the processes would write to the pages that they share
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    unsafe = why_unsafe()
    entry.output.finish()
    if not entry.inlet.send(TemplateReady(time.monotonic() - entry.begun, unsafe)) or unsafe:
        return 0
    return _serve_requests(entry.inlet.release(), loaded)


def load_all(initialize: Initialize) -> "Loaded":
    """All that processes have in common. RQ may be imported only once its prefix is known, before the user's path."""
    from farm.context import enter_process  # noqa: PLC0415 - see above
    from farm_worker.pool import attempt  # noqa: F401, PLC0415
    from farm_worker.pool.equipment import equip  # noqa: PLC0415
    from farm_worker.pool.loaded import load  # noqa: PLC0415
    from farm_worker.pool.warmth import Warmth  # noqa: F401, PLC0415

    use_path(initialize.path)
    equipment = equip(initialize, lambda _: True)  # it imports what the settings name
    enter_process(equipment.process)
    return load(initialize.app, equipment)


def _serve_requests(stream: socket.socket, loaded: "Loaded") -> int:
    """Forks until the host closes the stream."""
    end_sockets(spare=stream.fileno())
    host = os.getppid()
    while True:
        pid = template_fork.fork_between()
        if pid == 0:
            request = _serve_request(stream)
            return _be_process(request, host, loaded)
        _, status = os.waitpid(pid, 0)
        if os.waitstatus_to_exitcode(status) == _NO_MORE:
            return 0


def _serve_request(stream: socket.socket) -> _Request:
    """In the go-between. Returns in the new process alone."""
    try:
        data, descriptors, _, _ = socket.recv_fds(stream, 1, LINES)
    except ConnectionError:
        os._exit(_NO_MORE)
    if not data:
        os._exit(_NO_MORE)
    request = _Request(ChildLines(*descriptors), time.monotonic(), os.getpid())
    try:
        if template_fork.fork_process():
            stream.close()
            return request
    except OSError as error:
        with suppress(OSError):
            os.write(request.lines.stream, encode(InitializeFailed(f"the template can't fork: {error}")))
    with suppress(ConnectionError):
        stream.sendall(encode(Forked()))
    os._exit(0)


def _be_process(request: _Request, host: int, loaded: "Loaded") -> int:
    def join() -> None:
        template_fork.join(host, request.between)
        os.write(lines.stream, encode(Born(os.getpid())))

    try:
        lines = template_fork.take_output(request.lines).take_over()
        template_fork.spare_finalizers()
        template_fork.reseed()
        return serve(lines, request.begun, loaded, join)
    except BaseException:  # noqa: BLE001 - what is left to say before the end
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
