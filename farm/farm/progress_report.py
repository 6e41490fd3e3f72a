"""How far a job says that it is, told onward at a bounded rate."""

import threading
import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.1
"""Between two reports of a job."""

Send = Callable[[float | None, str], object]


class ProgressReport:
    """Passes on what is said, at most ten times a second and always the last of it. For all threads of a job."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.RLock()
        self._waiting: tuple[float | None, str] | None = None
        self._timer: threading.Timer | None = None
        self._last = float("-inf")

    def say(self, fraction: float | None, text: str) -> None:
        """Sends this now, or as soon as the rate allows unless something newer is said."""
        with self._lock:
            self._waiting = (fraction, text)
            if self._timer is None:
                self._pass_on_in_time()

    def close(self) -> None:
        """Sends what waits, for the job is over."""
        with self._lock:
            self._pass_on()
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
            timer.join()

    def _ring(self) -> None:
        with self._lock:
            self._timer = None
            self._pass_on_in_time()

    def _pass_on_in_time(self) -> None:
        wait = self._last + INTERVAL_SECONDS - time.monotonic()
        if wait <= 0:
            self._pass_on()
        elif self._waiting is not None:
            self._timer = threading.Timer(wait, self._ring)
            self._timer.daemon = True
            self._timer.start()

    def _pass_on(self) -> None:
        if self._waiting is not None:
            said, self._waiting = self._waiting, None
            self._last = time.monotonic()
            self._send(*said)
