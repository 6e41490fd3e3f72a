"""Threads that a job left behind. They can't be ended from outside, so their process must."""

import sys
import threading
import time
from collections.abc import Sequence

GRACE_SECONDS = 0.1
"""For those that are about to end by themselves."""


def left_threads(known: Sequence[threading.Thread], package: str) -> list[str]:
    """The names of new threads that may still do the job's work, after a short grace.

    Those are all that keep a program alive, and daemons whose code belongs to `package`, the job's own. Daemons of
    libraries stay, and so do threads of an executor that wait for work.
    """
    before = set(known)
    deadline = time.monotonic() + GRACE_SECONDS
    while True:
        left = [one for one in threading.enumerate() if one not in before and _works_on(one, package)]
        if not left or time.monotonic() > deadline:
            return [one.name for one in left]
        left[0].join(0.01)


def _works_on(thread: threading.Thread, package: str) -> bool:
    if thread.daemon:
        return bool(package) and package in _packages(thread)
    return not _waits_in_executor(thread)


def _packages(thread: threading.Thread) -> set[str]:
    """Where its code comes from: its class, or the function that it was given."""
    sources = [type(thread), getattr(thread, "_target", None), getattr(thread, "function", None)]
    return {str(getattr(source, "__module__", "")).partition(".")[0] for source in sources}


def _waits_in_executor(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 - the documented way to another thread's stack
    if frame is None:
        return False
    return frame.f_code.co_name == "_worker" and frame.f_globals.get("__name__") == "concurrent.futures.thread"
