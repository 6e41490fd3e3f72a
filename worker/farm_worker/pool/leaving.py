"""The end of a process that ran user code. Neither threads nor children that were left hold it up."""

import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from farm_worker.pool.left_children import end_left

EXIT_SECONDS = 4.0
"""What the user's code wants at the end of the program (`atexit`) has this long, with all else here."""
THREAD_SECONDS = 1.0
"""Of that, for threads that the interpreter would wait for without end."""


def leave(code: int) -> NoReturn:
    """Ends this process, its children with it. Prewarm functions must be closed."""
    limit = threading.Timer(EXIT_SECONDS, os._exit, (code,))
    limit.daemon = True
    limit.start()
    with suppress(BaseException):
        _wait_for_threads()
    with suppress(BaseException):
        atexit._run_exitfuncs()  # noqa: SLF001 - as multiprocessing does
    with suppress(BaseException):
        end_left(frozenset())
    for stream in (sys.stdout, sys.stderr):
        with suppress(BaseException):
            stream.flush()
    os._exit(code)


def _wait_for_threads() -> None:
    mine = threading.current_thread()
    others = [thread for thread in threading.enumerate() if not thread.daemon and thread is not mine]
    if not others:
        return
    threading.Thread(target=_end_executors, daemon=True).start()
    deadline = time.monotonic() + THREAD_SECONDS
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))


def _end_executors() -> None:
    """What the interpreter calls before it waits for threads: executors tell theirs to end, and wait for them."""
    for call in reversed(threading._threading_atexits):  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public
        call()
