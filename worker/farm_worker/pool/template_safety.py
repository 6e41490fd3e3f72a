"""Whether processes may be forked from what the app has loaded, and the sockets that they must not share."""

import os
import signal
import socket
import stat
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

SETTLE_SECONDS = 0.5
"""A thread that was joined may need a moment until the system has forgotten it."""
TRIAL_SECONDS = 2.0
_ACCELERATORS = ("/dev/nvidia", "/dev/kfd")
_REMEDY = "Move what does this to @app.prewarm or to a runner, or set START_METHOD=spawn."
_STANDARD_STREAMS = 3


def why_unsafe() -> str:
    """Why this process must not be forked from, with the remedy; empty: it may."""
    devices = sorted({target for target in _targets() if target.startswith(_ACCELERATORS)})
    if devices:
        return f"it holds {', '.join(devices)}, and such a device can't be used in a fork. {_REMEDY}"
    if _is_alone():
        return ""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    what = ", ".join(names) if names else f"{_thread_count() - 1} of a library, which have no Python name"
    return f"it has other threads ({what}), and a fork would have their locks without them. {_REMEDY}"


def end_sockets(spare: int) -> None:
    """Puts a dead socket in the place of each open one: two processes on one connection would mix up their answers.

    Clients of databases take it for a connection that was closed, and open another one. `spare` and the standard
    streams stay.
    """
    dead, peer = socket.socketpair()
    peer.close()
    with dead:
        for descriptor in _descriptors():
            if descriptor >= _STANDARD_STREAMS and descriptor not in (spare, dead.fileno()):
                with suppress(OSError):
                    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                        os.dup2(dead.fileno(), descriptor, os.get_inheritable(descriptor))


def _is_alone() -> bool:
    """No other thread, or none that would not end by itself when this process forks, as those of BLAS libraries do."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while _thread_count() > 1 and threading.active_count() == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    if _thread_count() == 1:
        return True
    return threading.active_count() == 1 and _trial() and _thread_count() == 1


def _trial() -> bool:
    """Forks a process that does nothing. False if not even that ends."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads: here that is the question
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    deadline = time.monotonic() + TRIAL_SECONDS
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return False
        time.sleep(0.001)
    return True


def _thread_count() -> int:
    return len(os.listdir("/proc/self/task"))


def _descriptors() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/fd")]


def _targets() -> Iterator[str]:
    for descriptor in _descriptors():
        with suppress(OSError):
            yield str(Path(f"/proc/self/fd/{descriptor}").readlink())
