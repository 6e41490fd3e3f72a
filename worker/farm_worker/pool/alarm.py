"""The time limits of jobs and callbacks: one signal handler for the process's life.

RQ's own limit puts SIGALRM back to its default on exit, so an alarm that comes late would kill a process that lives on.
This one keeps its handler, and an alarm that nobody waits for does nothing.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rq.timeouts import JobTimeoutException

LONGEST_SECONDS = 1e8
"""About three years. Longer limits are as good as none, and timers refuse the very long ones."""

STUBBORN_SECONDS = 1.0
"""A coroutine that was asked to end and blocks the event loop is interrupted after this."""


class Alarm:
    """Raises JobTimeoutException in the main thread when a limit is over."""

    def __init__(self) -> None:
        self.interrupt: Callable[[], bool] | None = None
        """While a coroutine runs: ends it without breaking the event loop. False: raise right here."""
        self._armed = False
        self._asked = False
        self._text = ""
        self.handler = self._ring  # one object, so that its presence can be checked by identity
        signal.signal(signal.SIGALRM, self.handler)

    def arm(self, seconds: float) -> None:
        """Starts a limit. 0 and less mean none."""
        if seconds > 0:
            self._text = f"Task exceeded maximum timeout value ({seconds} seconds)"
            self._asked = False
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, min(seconds, LONGEST_SECONDS))

    def disarm(self) -> None:
        """Ends the limit. No alarm comes after this, not even one that is on its way."""
        self._armed = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    @contextmanager
    def limit(self, seconds: float, *_: object, **__: object) -> Iterator[None]:
        """A limit around a block, callable as RQ calls its death penalty classes."""
        try:
            self.arm(seconds)
            yield
        finally:
            self.disarm()

    def timed_out(self) -> JobTimeoutException | None:
        """What a coroutine that was ended by the limit failed of. None when it was not."""
        return JobTimeoutException(self._text) if self._asked else None

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if not self._armed:
            return
        if self.interrupt is not None and not self._asked and self.interrupt():
            self._asked = True
            signal.setitimer(signal.ITIMER_REAL, STUBBORN_SECONDS)
            return
        self._armed = False
        raise JobTimeoutException(self._text)
