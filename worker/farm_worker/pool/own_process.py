"""The pid of this process, without a system call for each time that somebody asks."""

import os

pid = os.getpid()
"""As `os.getpid` tells it, in processes that Python code forked too."""


def _look() -> None:
    global pid  # noqa: PLW0603 - a process has one
    pid = os.getpid()


os.register_at_fork(after_in_child=_look)
