"""The process around the jobs: its signals, environment and import path, and putting back what a job changed."""

import ctypes
import os
import signal
import sys
from _signal import getsignal  # type: ignore[import-not-found]  # without the enums of `signal`, which cost 20 times
from collections.abc import Sequence
from contextlib import suppress

from farm.flags import VARIABLE as FLAGS
from farm.isolation import user_environment
from farm_worker.pool.protocol import Initialize

PR_SET_PDEATHSIG = 1

_GUARDED = (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


def die_with_parent() -> None:
    """Asks the system to kill this process when its host dies; Linux only.

    Elsewhere, and in the moment before this call, the end of the channels tells an idle process.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def take_signals() -> None:
    """A key pressed in the host's terminal is the host's affair. TERM ends the process at once, busy or not.

    A graceful end is asked for by closing the channels; so whoever sends TERM has decided against one, and a handler
    that raised could be swallowed by a job.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def restore_environment(initialize: Initialize) -> None:
    """The environment that the user started the host with, and what RQ tells its jobs by it."""
    original = user_environment(dict(os.environ))
    for name in os.environ.keys() - original.keys() | {FLAGS, "PYTHONPATH"}:
        os.environ.pop(name, None)
    if initialize.python_path is not None:
        os.environ["PYTHONPATH"] = initialize.python_path
    os.environ["RQ_KEY_PREFIX"] = initialize.rq_prefix
    os.environ["RQ_WORKER_ID"] = initialize.host


def use_path(folders: Sequence[str]) -> None:
    """The user's modules come first, as in the user's own programs. Call it after our own imports."""
    sys.path[:0] = folders


class Surroundings:
    """Folder, umask and signal handlers as they were when the process was warm."""

    def __init__(self) -> None:
        self._folder = os.getcwd()
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._handlers = [(number, getsignal(number)) for number in _GUARDED]

    def restore(self) -> None:
        """Puts back what a job changed."""
        os.umask(self._umask)
        if _folder() != self._folder:
            with suppress(OSError):  # deleted meanwhile
                os.chdir(self._folder)
        for number, handler in self._handlers:
            if getsignal(number) is not handler and handler is not None:
                signal.signal(number, handler)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return ""
