"""Memory of the template in huge pages: a fork copies the table of pages, and that takes most of its time."""

import ctypes
import sys
from contextlib import suppress
from pathlib import Path

HUGE_PAGE_BYTES = 1 << 21
_MADV_COLLAPSE = 25


def use_huge_pages() -> None:
    """Puts what is private into huge pages as far as the kernel can (Linux 6.1). What is written to later is copied
    in small ones."""
    if sys.platform != "linux":
        return
    madvise = ctypes.CDLL(None, use_errno=True).madvise
    with suppress(OSError):
        for line in Path("/proc/self/maps").read_text().splitlines():
            first, last = _private(line)
            if first < last:
                madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), _MADV_COLLAPSE)


def _private(line: str) -> tuple[int, int]:
    """The whole huge pages of an anonymous mapping that may be written; nothing of any other."""
    fields = line.split()
    if fields[1] != "rw-p" or (len(fields) > 5 and fields[5] != "[heap]"):  # noqa: PLR2004 - the sixth is its name
        return 0, 0
    begin, end = (int(number, 16) for number in fields[0].split("-"))
    return -(-begin // HUGE_PAGE_BYTES) * HUGE_PAGE_BYTES, end // HUGE_PAGE_BYTES * HUGE_PAGE_BYTES
