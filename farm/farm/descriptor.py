"""Descriptors that a process keeps for itself have high numbers: jobs that turn into daemons close the low ones."""

import resource
from fcntl import F_DUPFD_CLOEXEC, fcntl

HIGHEST_DESCRIPTOR = 65536
"""Where a process may have more: the kernel keeps a table up to the highest one in use."""


def end_of_descriptors() -> int:
    """Numbers below this can be had."""
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return min(limit, HIGHEST_DESCRIPTOR)


def copy_out_of_reach(descriptor: int, first: int | None = None) -> int:
    """A copy with the first free number from `first` on, by default the middle. What is started does not inherit it.

    Raises OSError when none is left.
    """
    return fcntl(descriptor, F_DUPFD_CLOEXEC, end_of_descriptors() // 2 if first is None else first)
