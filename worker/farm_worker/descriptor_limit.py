"""How many descriptors a program may have open: a host needs more than is usual, jobs get what is usual.

Each process of the pool costs its host seven. Programs that look at all descriptors, or use `select`, rely on the usual
limit, so the processes get back what the host was started with.
"""

import resource
from contextlib import suppress

ENOUGH = 65536

_found = resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def raise_limit() -> None:
    """Lets this program have as many as the system permits, up to `ENOUGH`."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if _found != resource.RLIM_INFINITY and wanted > _found:
        with suppress(ValueError, OSError):  # macOS permits less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def found_limit() -> int:
    """What the limit was when this program started."""
    return _found
