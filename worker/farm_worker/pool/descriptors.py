"""The three standard descriptors: a job may close or redirect them, the next one has them as they were."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from fcntl import fcntl

from farm.descriptor import copy_out_of_reach

_F_DUPFD_QUERY = 1027
"""Linux 6.10: whether two descriptors are one open file. A third of the price of comparing what they are."""
_STANDARD = (0, 1, 2)
_OUTPUT = (1, 2)


class StandardDescriptors:
    """Copies of the standard descriptors, out of reach of jobs that close what they find."""

    def __init__(self) -> None:
        self._copies = tuple(map(copy_out_of_reach, _STANDARD))
        _, self._out, self._error = self._copies
        self._identities = [_identity(number) for number in _OUTPUT]
        self.are_intact: Callable[[], bool] = self._query if _can_query(self._copies[0]) else self._compare
        """Looks at those for output: who redirects the input alone hurts nobody, and each look costs."""

    def restore(self) -> None:
        """Puts back what a job changed."""
        for number, copy in zip(_STANDARD, self._copies, strict=True):
            os.dup2(copy, number)

    def _query(self) -> bool:
        try:
            return bool(fcntl(1, _F_DUPFD_QUERY, self._out) and fcntl(2, _F_DUPFD_QUERY, self._error))
        except OSError:
            return False

    def _compare(self) -> bool:
        try:
            return [_identity(number) for number in _OUTPUT] == self._identities
        except OSError:
            return False


def _identity(number: int) -> tuple[int, int]:
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _can_query(copy: int) -> bool:
    with suppress(OSError):
        return sys.platform == "linux" and bool(fcntl(0, _F_DUPFD_QUERY, copy))
    return False
