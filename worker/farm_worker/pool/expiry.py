"""When others may be given what a host runs. From then on no job begins here, and none that must not run twice goes on.

The host moves that time on with each beat that Redis accepted. Its processes keep it too, so that it holds where the
host itself is stopped. Seconds are those of a clock that goes on while the machine sleeps.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from math import inf

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

STDERR = 2
HOST_FIRST_SECONDS = 0.5
"""A host that is not stopped itself ends the job in time, and can say why. The process waits for that."""
LOOK_SECONDS = 0.5

LONG_SILENCE = "Redis has not heard of this host for so long that its job may be given up; it must not run twice.\n"


clock: Callable[[], float] = partial(time.clock_gettime, _CLOCK)
"""Seconds since the machine started, asleep or not. The same for all its processes."""


class Expiry:
    """Of the job that a process runs. One thread runs jobs, another one watches."""

    def __init__(self) -> None:
        self._at = inf
        self._must_end = False
        self._moved = threading.Condition()

    def move(self, at: float) -> None:
        """The host's lease is good until then."""
        with self._moved:
            self._at = at
            self._moved.notify_all()

    def begin(self, at: float, *, must_end: bool) -> None:
        """Before a job begins: returns once it may. Where it may not any more, the host ends this process.

        `at`: what the host knew when it sent the job; 0 if there is no such time. `must_end`: it must not run twice.
        """
        if at > self._at or self._at == inf:
            self._at = at or inf
        if clock() >= self._at:
            with self._moved:
                while clock() >= self._at:
                    self._moved.wait(LOOK_SECONDS)
        self._must_end = must_end

    def allows(self, at: float) -> bool:
        """Whether a job that was sent with `at` may begin: for whom to wait would hold up others. It need not end."""
        if at > self._at or self._at == inf:
            self._at = at or inf
        return clock() < self._at

    def end(self) -> None:
        """No job runs."""
        self._must_end = False

    def left(self) -> float | None:
        """Seconds until then. None: it is over, or there is nothing to wait for."""
        left = self._at + HOST_FIRST_SECONDS - clock()
        return left if 0 < left < inf else None

    def enforce(self) -> None:
        """Ends this process and all that it started, if a job runs here that must be over by now."""
        if self._must_end and clock() >= self._at + HOST_FIRST_SECONDS:
            os.write(STDERR, LONG_SILENCE.encode())
            os.killpg(0, signal.SIGKILL)
