"""Memory of the template in huge pages: a fork copies the table of pages, and that takes most of its time.

Huge pages are 2 MB. What the app loads would lie in smaller pieces, as each large block that it allocates and frees
meanwhile has a place of its own between them. So while it loads, large blocks come from the heap as small ones do.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HUGE_PAGE_BYTES = 1 << 21
OWN_PLACE_BYTES = 1 << 22
"""Later: blocks from this size on have a place of their own, and are given back as soon as they are freed."""
_NEVER = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MADV_COLLAPSE = 25


@contextmanager
def in_one_piece() -> Iterator[None]:
    """What is allocated in the block lies together, with the C library of GNU, and then in huge pages, from Linux 6.1.

    What is written to after a fork is copied in small pages.
    """
    _place_apart(_NEVER)
    try:
        yield
    finally:
        _place_apart(OWN_PLACE_BYTES)
    if sys.platform == "linux":
        _collapse()


def _place_apart(threshold: int) -> None:
    with suppress(AttributeError, OSError):  # another C library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, threshold)
        library.mallopt(_M_TRIM_THRESHOLD, threshold)


def _collapse() -> None:
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            first, last = _private(line)
            if first < last:  # a kernel that can't leaves the pages as they are
                madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_COLLAPSE)


def _private(line: str) -> tuple[int, int]:
    """The whole huge pages of an anonymous mapping that may be written; nothing of any other."""
    addresses, permissions, _, _, _, *name = line.split()
    if permissions != "rw-p" or name not in ([], ["[heap]"]):
        return 0, 0
    begin, end = (int(number, 16) for number in addresses.split("-"))
    return -(-begin // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES, end // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
