"""What a caller and a copy of a runner say to each other: one connection per call, one frame each way.

A frame is a header (kind, number of parts), the length of each part (8 bytes), and the parts: a pickle of protocol 5,
then the buffers that it refers to. Buffers (`pickle.PickleBuffer`, arrays of numpy) are sent from where they are and
received into memory of their own: they are copied by the kernel alone.
"""

import pickle
import struct
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import Any

MAX_FRAME_BYTES = 1 << 30
"""1 GiB: the most that one call may carry to the runner, and back."""
MAX_PARTS = 1 << 20

_HEADER = struct.Struct("<BxxxI")
_LENGTH = struct.Struct("<Q")
_PIECE_BYTES = 1 << 20
"""Sent at a time at most: whoever waits for progress sees some."""
_JOINED_BYTES = 1 << 16
"""Smaller parts share a system call."""


class Kind(IntEnum):
    """What a frame holds."""

    CALL = 1
    """The data of a call."""
    VALUE = 2
    """What `run` returned."""
    RAISED = 3
    """What `run` raised: a tuple (pickled exception or None, its summary, its traceback)."""
    REFUSED = 4
    """A text: why there is neither."""


class TooLarge(ValueError):
    """More than a frame may hold. The text says how much."""


Parts = Sequence[memoryview]


def pickled(value: object) -> Parts:
    """The parts of a frame with this value. Raises TooLarge, and whatever pickling it raises."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(body), *(buffer.raw() for buffer in buffers)]
    _check(len(parts), sum(part.nbytes for part in parts))
    return parts


def unpickled(parts: Sequence[bytearray]) -> Any:
    """The value. Raises whatever unpickling it raises: it runs code of the user's."""
    return pickle.loads(parts[0], buffers=parts[1:])  # noqa: S301 - both ends are processes of one host


def pieces(kind: Kind, parts: Parts) -> Iterator[bytes | memoryview]:
    """The frame, in pieces to be sent one after the other: small parts joined, large ones cut."""
    joined = bytearray(_HEADER.pack(kind, len(parts)))
    for part in parts:
        joined += _LENGTH.pack(part.nbytes)
    for part in parts:
        if len(joined) + part.nbytes > _JOINED_BYTES:
            yield bytes(joined)
            joined.clear()
        if part.nbytes > _JOINED_BYTES:
            yield from (part[start : start + _PIECE_BYTES] for start in range(0, part.nbytes, _PIECE_BYTES))
        else:
            joined += part
    if joined:
        yield bytes(joined)


class Incoming:
    """A frame that is being received: read into `target`, say how much came by `advance`, until `complete`."""

    def __init__(self) -> None:
        self.kind = Kind.CALL
        self.parts: list[bytearray] = []
        self.complete = False
        self.target = memoryview(bytearray(_HEADER.size))
        self._buffer: memoryview = self.target
        self._then: Callable[[], None] = self._read_header
        self._next = 0

    def advance(self, count: int) -> None:
        """`count` bytes arrived. Raises TooLarge, and ValueError for what is no frame."""
        self.target = self.target[count:]
        while not self.target and not self.complete:
            self._then()

    def _expect(self, buffer: bytearray, then: Callable[[], None]) -> None:
        self._buffer = self.target = memoryview(buffer)
        self._then = then

    def _read_header(self) -> None:
        kind, count = _HEADER.unpack(self._buffer)
        self.kind = Kind(kind)
        _check(count, 0)
        self._expect(bytearray(count * _LENGTH.size), self._read_lengths)

    def _read_lengths(self) -> None:
        lengths = [length for (length,) in _LENGTH.iter_unpack(self._buffer)]
        if not lengths:
            raise ValueError("a frame without parts")
        _check(len(lengths), sum(lengths))
        self.parts = [bytearray(length) for length in lengths]
        self._then = self._read_part
        self.target = self._buffer[:0]

    def _read_part(self) -> None:
        if self._next == len(self.parts):
            self.complete = True
            return
        self._expect(self.parts[self._next], self._read_part)
        self._next += 1


def _check(count: int, size: int) -> None:
    if size > MAX_FRAME_BYTES:
        raise TooLarge(f"{size:,} bytes, and a call carries at most {MAX_FRAME_BYTES:,} each way")
    if count > MAX_PARTS:
        raise TooLarge(f"{count:,} buffers, and a call carries at most {MAX_PARTS:,} each way")
