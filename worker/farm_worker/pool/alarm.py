"""The time limits of jobs and callbacks: one signal handler for the process's life.

RQ's own limit puts SIGALRM back to its default on exit, so an alarm that comes late would kill a process that lives on.
This one keeps its handler, and an alarm that nobody waits for does nothing.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from types import FrameType

from rq.timeouts import JobTimeoutException

from farm.errors import JobInterrupted

EARLY_SECONDS = 0.001
"""Timers and clocks may differ by less than this."""

LONGEST_SECONDS = 1e8
"""About three years. Longer limits are as good as none, and timers refuse the very long ones."""

TRUSTED_SECONDS = 0.05
"""A timer that was set so long ago is set anew for the next job: the one before may have used it for itself."""

STUBBORN_SECONDS = 1.0
"""A coroutine that was asked to end and blocks the event loop is interrupted after this."""


class Alarm:
    """Raises JobTimeoutException in the main thread when a limit is over, JobInterrupted when the host stops."""

    def __init__(self) -> None:
        self.interrupt: Callable[[], bool] | None = None
        """While a coroutine runs: ends it without breaking the event loop. False: raise right here."""
        self.on_stop: Callable[[], None] | None = None
        """While coroutine jobs run side by side: hears, in place of the job that runs, that the host stops."""
        self.stops_at = inf
        """Monotonic seconds: by then this process has to be done. `inf`: the host does not stop."""
        self.interrupted = False
        """True once a job was interrupted, as the host stops."""
        self._in_job = False
        self._stop_is_new = False
        self._thread = threading.get_ident()
        self._armed = False
        self._asked = False
        self._seconds = 0.0
        self._deadline = inf
        """Monotonic seconds, of the limit that is armed."""
        self._set_at = self._rings_at = 0.0
        """When the timer was set, and when it rings."""
        self.handler = self._ring  # one object, so that its presence can be checked by identity
        signal.signal(signal.SIGALRM, self.handler)

    def begin_job(self, seconds: float) -> None:
        """Starts a job's limit. Until `disarm` a stop of the host interrupts the job; raises if that came before."""
        self._in_job = True
        self.arm(seconds)
        if self.stops_at < inf:
            self.interrupted = True
            raise JobInterrupted

    def stop(self, seconds: float) -> None:
        """The host stops: interrupts the job that runs, now. What follows it has `seconds`. From any thread."""
        self.stops_at = min(self.stops_at, time.monotonic() + seconds)
        self._interrupt_job()

    def arm(self, seconds: float) -> None:
        """Starts a limit. 0 and less mean none."""
        if seconds > 0:
            now = time.monotonic()
            self._seconds = seconds
            seconds = min(seconds, LONGEST_SECONDS)
            self._deadline = now + seconds
            self._asked = False
            self._armed = True
            # One that rings too early for this limit, as that of the job before may, costs less than setting it anew.
            if not now < self._rings_at <= self._deadline or now - self._set_at > TRUSTED_SECONDS:
                self._set_timer(now, seconds)
        elif not self._armed and self._rings_at:  # who has no limit may have a handler of their own for that signal
            self._rings_at = 0.0
            signal.setitimer(signal.ITIMER_REAL, 0)

    def disarm(self) -> None:
        """Ends the limit. Its alarm may still ring, and does nothing then."""
        self._in_job = False
        self._armed = False

    @contextmanager
    def limit(self, seconds: float, *_: object, **__: object) -> Iterator[None]:
        """A limit around a block, callable as RQ calls its death penalty classes."""
        try:
            self.arm(seconds)
            yield
        finally:
            self.disarm()

    def timed_out(self) -> BaseException | None:
        """What a coroutine that was ended by the limit, or by the host's stop, failed of. None when it was not."""
        return self._error() if self._asked else None

    def _interrupt_job(self) -> None:
        self._stop_is_new = True
        signal.pthread_kill(self._thread, signal.SIGALRM)

    def _set_timer(self, now: float, seconds: float) -> None:
        self._set_at = now
        self._rings_at = now + seconds
        signal.setitimer(signal.ITIMER_REAL, self._rings_at - now)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._stop_is_new:
            self._stop_is_new = False
            if self.on_stop is not None:
                self.interrupted = True
                self.on_stop()
                return
            if not self._in_job:  # what follows a job is not interrupted: it has a limit
                return
            self.interrupted = True
        elif not self._armed:
            self._rings_at = 0.0
            return
        elif now < self._deadline - EARLY_SECONDS:
            self._set_timer(now, self._deadline - now)
            return
        if self.interrupt is not None and not self._asked and self.interrupt():
            self._asked = self._armed = True
            self._deadline = now + STUBBORN_SECONDS
            self._set_timer(now, STUBBORN_SECONDS)
            return
        self._armed = self._in_job = False
        raise self._error()

    def _error(self) -> BaseException:
        if self.interrupted:
            return JobInterrupted()
        return JobTimeoutException(self._text())

    def _text(self) -> str:
        return f"Task exceeded maximum timeout value ({self._seconds} seconds)"
