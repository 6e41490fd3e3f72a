"""The body of the template: `python -P -m farm_worker.pool.template_child STREAM` (a descriptor).

It imports the app, runs its preload functions, says so, then forks one process for each request: a byte with the
descriptors of that process's lines. A forked process is a child of the host, not of the template, and is there before
it is asked for (`template_fork`).
"""

import gc
import os
import select
import socket
import sys
import time
import traceback
from contextlib import suppress
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
    Reserve,
    TemplateReady,
    encode,
)
from farm_worker.pool.surroundings import use_path
from farm_worker.pool.template_memory import in_one_piece
from farm_worker.pool.template_safety import end_sockets, why_unsafe
from farm_worker.pool.touched import touched

if TYPE_CHECKING:
    from farm_worker.pool.loaded import Loaded

NO_ROOM_SECONDS = 0.1
"""Between two attempts to fork where the system has no room for another process."""


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
    return serve_requests(entry.inlet.release(), loaded)


def load_all(initialize: Initialize) -> "Loaded":
    """All that processes have in common. RQ may be imported only once its prefix is known, before the user's path."""
    from farm.context import enter_process  # noqa: PLC0415 - see above
    from farm_worker.pool import attempt  # noqa: F401, PLC0415
    from farm_worker.pool.equipment import equip  # noqa: PLC0415
    from farm_worker.pool.loaded import load  # noqa: PLC0415
    from farm_worker.pool.warmth import Warmth  # noqa: F401, PLC0415

    touched()
    use_path(initialize.path)
    equipment = equip(initialize, lambda _: True)  # it imports what the settings name
    enter_process(equipment.process)
    return load(initialize.app, equipment)


def serve_requests(stream: socket.socket, loaded: "Loaded") -> int:
    """Forks until the host closes the stream."""
    end_sockets(spare=stream.fileno())
    while True:
        try:
            is_reserve, news = template_fork.fork_reserve(lambda pid: stream.sendall(encode(Reserve(pid))))
        except OSError as error:
            if not _refuse_meanwhile(stream, error):
                return 0
            continue
        if is_reserve:
            return _be_process(stream, news, loaded)
        if not template_fork.is_another_wanted(news):
            return 0


def _refuse_meanwhile(stream: socket.socket, error: OSError) -> bool:
    """Until another attempt makes sense. False when the host has closed the stream."""
    if not select.select([stream], [], [], NO_ROOM_SECONDS)[0]:
        return True
    lines = ChildLines.receive(stream)
    if lines is None:
        return False
    with suppress(OSError):
        os.write(lines.stream, encode(InitializeFailed(f"the template can't fork: {error}")))
    lines.refuse()
    _tell_forked(stream)
    return True


def _be_process(stream: socket.socket, news: int, loaded: "Loaded") -> int:
    try:
        template_fork.spare_finalizers()
        template_fork.reseed()
        request = template_fork.wait_for_request(stream, news, lambda: _tell_forked(stream))
        begun = time.monotonic()
        stream.close()
        lines = template_fork.take_output(request).take_over()
        return serve(lines, begun, loaded, lambda: os.write(lines.stream, encode(Born(os.getpid()))))
    except BaseException:  # noqa: BLE001 - what is left to say before the end
        traceback.print_exc()
        return 1


def _tell_forked(stream: socket.socket) -> None:
    with suppress(ConnectionError):
        stream.sendall(encode(Forked()))


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
