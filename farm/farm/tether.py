"""Ties a child process to the life of its starter: it ends when the starter ends, even by SIGKILL.

`tethered(command)` wraps a command line. The wrapper is this file, run as a script, in one of two ways:

- `exec` (Linux, starter in its main thread): asks the kernel for SIGKILL at the starter's death, then becomes the
  command: no process is added. The kernel means the *thread* that forked, so only the main thread may use it.
- `watch` (everywhere else): stays as a small parent of the command, passes TERM, INT and HUP on to it, and kills it
  once the starter is gone.

Start the result with `start_new_session=True`: signals of the terminal then reach the starter alone, and
`os.killpg(child.pid, SIGKILL)` ends the command in both ways.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence

WATCH_INTERVAL_SECONDS = 0.25

_CANNOT_RUN = 127
_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` for as long as this process lives, at most."""
    main_thread = threading.current_thread() is threading.main_thread()
    way = "exec" if sys.platform == "linux" and main_thread else "watch"
    return [sys.executable, "-I", "-S", __file__, way, str(os.getpid()), *command]


def _become(starter: int, command: Sequence[str]) -> None:
    import ctypes  # noqa: PLC0415  only this way needs it; the other must start without

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != starter:  # it ended before the kernel was asked
        return
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and what is ignored stays so in the command
    os.execvp(command[0], list(command))  # noqa: S606  no shell is wanted


def _watch(starter: int, command: Sequence[str]) -> int:
    child = subprocess.Popen(command, close_fds=False)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: child.send_signal(received))
    while os.getppid() == starter:
        try:
            return child.wait(WATCH_INTERVAL_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    child.kill()
    return child.wait()


def _run(way: str, starter: int, command: Sequence[str]) -> int:
    try:
        if way == "watch":
            return _watch(starter, command)
        _become(starter, command)
    except OSError as error:
        print(f"cannot run {command[0]}: {error.strerror}", file=sys.stderr)
    return _CANNOT_RUN


if __name__ == "__main__":
    sys.exit(_run(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
