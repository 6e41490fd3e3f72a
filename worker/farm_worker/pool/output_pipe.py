"""The host's end of a process's stdout and stderr: what C code, and programs that jobs start, write there."""

import asyncio
import codecs
import fcntl
import os
import sys
import termios
from collections.abc import Callable, Sequence
from contextlib import suppress

from farm_worker.pool.allowance import JOB, PROCESS, Allowance
from farm_worker.pool.lines import OUTPUT_PIPE_BYTES
from farm_worker.pool.output_lines import LineCutter, Piece
from farm_worker.pool.streams import ENCODING, ERRORS

READ_BYTES = 64 << 10
"""In one turn of the loop, so that all processes have theirs."""
DISCARD_BYTES = OUTPUT_PIPE_BYTES
_NOTHING = bytes(4)


class OutputPipe:
    """Reads lines as they come, for whichever job runs. More than the allowance is discarded, which costs little."""

    def __init__(self, descriptor: int, show: Callable[[Sequence[Piece]], None]) -> None:
        """`descriptor` does not block, and stays the caller's."""
        self._descriptor = descriptor
        self._show = show
        self._loop = asyncio.get_running_loop()
        self._waiting = bytearray(4)
        self._above = Allowance(PROCESS)
        self._reading = True
        self._begin()
        self._loop.add_reader(descriptor, self._readable)

    def settle(self) -> None:
        """Shows what was written until now, the end of the last line too: another job begins."""
        for _ in range(OUTPUT_PIPE_BYTES // READ_BYTES):
            if not self._is_waiting() or not self._take():
                break
        if self._used:
            self._tell(self._cutter.feed(self._decoder.decode(b"", True)))
            self._tell(self._cutter.finish())
            self._begin()

    def close(self) -> None:
        """Shows the rest, and reads no more."""
        self.settle()
        self._stop()

    def _begin(self) -> None:
        self._used = False
        self._allowance = Allowance(JOB, self._above)
        self._cutter = LineCutter(self._allowance)
        self._decoder = codecs.getincrementaldecoder(ENCODING)(ERRORS)

    def _is_waiting(self) -> bool:
        if not self._reading:
            return False
        fcntl.ioctl(self._descriptor, termios.FIONREAD, self._waiting)
        return self._waiting != _NOTHING

    def _readable(self) -> None:
        self._take()

    def _take(self) -> bool:
        """False when nothing is there, or nothing more will come."""
        try:
            if self._allowance.is_spent():
                return self._discard()
            data = os.read(self._descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._stop()
            return False
        self._used = True
        pieces = self._cutter.feed(self._decoder.decode(data))
        self._allowance.spend(len(data) - sum(len(piece.text) for piece in pieces))  # to read it costs, too
        self._tell(pieces)
        return True

    def _discard(self) -> bool:
        size = _discard(self._descriptor)
        if not size:
            self._stop()
            return False
        self._used = True
        self._cutter.skip(size)
        return True

    def _tell(self, pieces: Sequence[Piece]) -> None:
        if pieces:
            self._show(pieces)

    def _stop(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._descriptor)


def _discard(pipe: int) -> int:
    """Takes out what waits, on Linux without a copy of it. Returns how much; 0 at the end."""
    if sys.platform == "linux":
        with suppress(OSError), open(os.devnull, "wb") as nowhere:
            return os.splice(pipe, nowhere.fileno(), DISCARD_BYTES, flags=os.SPLICE_F_NONBLOCK)
    return len(os.read(pipe, DISCARD_BYTES))
