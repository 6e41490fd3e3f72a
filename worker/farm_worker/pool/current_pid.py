"""The pid of this process, without a system call for each time that somebody asks."""

import os

_pid = os.getpid()


def current_pid() -> int:
    """As `os.getpid`, in processes that Python code forked too."""
    return _pid


def _look() -> None:
    global _pid  # noqa: PLW0603 - a process has one
    _pid = os.getpid()


os.register_at_fork(after_in_child=_look)
