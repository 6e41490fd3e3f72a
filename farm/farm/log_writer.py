"""Writes lines to a descriptor from a thread of its own: whoever logs never waits for who reads."""

import atexit
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

MAX_WAITING_BYTES = 4 << 20
CLOSE_SECONDS = 2.0
"""At the end of the process: how long it waits for a reader of what is left."""


class LogWriter:
    """Lines go out in order. What does not fit is lost and counted.

    At the end of the process, a crash too, what is left is written, as far as somebody reads it in time.
    """

    def __init__(self, descriptor: int, describe: Callable[[int], str]) -> None:
        """`describe` says that so many lines were lost. The thread starts with the first line."""
        self._descriptor = descriptor
        self._describe = describe
        self._lines: deque[bytes] = deque()
        self._waiting = 0
        self._lost = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Never waits."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        with self._changed:
            if self._closing or self._waiting + len(data) > MAX_WAITING_BYTES:
                self._lost += 1
                return
            self._tell_lost()
            self._put(data)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            self._changed.notify()

    def close(self) -> None:
        """Waits until all lines are written, but not for long. What comes later is lost."""
        with self._changed:
            self._tell_lost()
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(CLOSE_SECONDS)

    def _tell_lost(self) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._put(f"{self._describe(lost)}\n".encode("utf-8", "backslashreplace"))

    def _put(self, data: bytes) -> None:
        self._lines.append(data)
        self._waiting += len(data)

    def _run(self) -> None:
        while (data := self._next()) is not None:
            with suppress(OSError):  # the terminal is gone, or the disk is full: the next lines may fare better
                self._write(data)
            with self._changed:
                self._waiting -= len(data)

    def _next(self) -> bytes | None:
        """As much as a pipe takes in one piece, should others write to it too; None when there will be no more."""
        with self._changed:
            while not self._lines:
                if self._closing:
                    return None
                self._changed.wait()
            taken: list[bytes] = []
            size = 0
            while self._lines and (not taken or size + len(self._lines[0]) <= select.PIPE_BUF):
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            return b"".join(taken)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:  # somebody made it so; a terminal is shared with others
                select.select([], [self._descriptor], [])
