"""Processes that a job started and left behind. On Linux their orphans come to this process too, whatever session."""

import ctypes
import os
import signal
import sys
import threading
import time
from _thread import _count as thread_count
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from farm.descriptor import copy_out_of_reach

PR_SET_CHILD_SUBREAPER = 36
GRACE_SECONDS = 0.1
"""For what is about to end by itself."""
KILL_SECONDS = 2.0
"""How long killed ones may take to be gone, with all that they had started."""
COMMAND_CHARACTERS = 80

_ENDED_OR_NOT = os.WEXITED | os.WNOHANG | os.WNOWAIT


def adopt_orphans(adopts: bool = True) -> bool:
    """From now on, descendants of this process that lose their parent become its children, in place of init's.

    With `adopts` False they do so no more. False: not on Linux. Forks don't inherit it.
    """
    if sys.platform != "linux":
        return False
    done: int = ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0)
    return done == 0


class ChildList:
    """The kernel's own list of this process's children, kept open: to look whether it is empty costs little."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._threads = thread_count()
        with suppress(OSError):  # not Linux, or a kernel without it
            descriptor = os.open(f"/proc/self/task/{threading.get_native_id()}/children", os.O_RDONLY | os.O_CLOEXEC)
            self._file = copy_out_of_reach(descriptor)
            os.close(descriptor)

    def may_have_some(self) -> bool:
        """False: there is no child, ended or not. To be called in the main thread, as the constructor is."""
        if self._file is None or thread_count() != self._threads:
            return has_children()  # the list is that of one thread; what others started is in theirs
        try:
            return bool(os.pread(self._file, 1, 0))
        except OSError:
            return has_children()


def has_children() -> bool:
    """Whether there is any child, ended or not. One system call."""
    try:
        os.waitid(os.P_ALL, 0, _ENDED_OR_NOT)
    except ChildProcessError:
        return False
    return True


def children() -> frozenset[int]:
    """Of this process, those that ended and were not waited for too."""
    found: set[int] = set()
    if not has_children():
        return frozenset()
    try:
        for task in Path("/proc/self/task").iterdir():
            found.update(_listed(task))
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - costs memory in each process, and Linux needs none of it

        found.update(child.pid for child in psutil.Process().children())
    return frozenset(found)


def end_left(spared: frozenset[int]) -> list[str]:
    """Kills all children but `spared`, and what they had started. Returns the commands of those that had to be killed.

    Those that have ended are only waited for.
    """
    if not has_children():
        return []
    left = _running(spared, GRACE_SECONDS)
    killed = [_describe(pid) for pid in left]
    deadline = time.monotonic() + KILL_SECONDS
    while left and time.monotonic() < deadline:
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        left = _running(spared, GRACE_SECONDS)  # what those had started comes to us now
    return killed


def _running(spared: frozenset[int], seconds: float) -> list[int]:
    """Children that still run after a while. The others are reaped."""
    deadline = time.monotonic() + seconds
    while left := _reap(children() - spared - _helpers()):
        if time.monotonic() > deadline:
            break
        time.sleep(0.001)
    return left


def _reap(pids: Iterable[int]) -> list[int]:
    """Waits for those that have ended. Returns the others."""
    running = []
    for pid in pids:
        with suppress(ChildProcessError):
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                running.append(pid)
    return running


def _helpers() -> set[int]:
    """What `multiprocessing` keeps for itself: its tracker of shared memory, and its fork server unless that works."""
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    helpers = {getattr(tracker, "_pid", None)}
    server_pid = getattr(server, "_forkserver_pid", None)
    if server_pid is not None and not any(map(_listed, Path(f"/proc/{server_pid}/task").glob("*"))):
        helpers.add(server_pid)
    return {pid for pid in helpers if pid is not None}


def _listed(task: Path) -> list[int]:
    with suppress(OSError):
        return [int(pid) for pid in (task / "children").read_text().split()]
    return []


def _describe(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        command = ""
    return f"{command[:COMMAND_CHARACTERS] or 'process'} (pid {pid})"
