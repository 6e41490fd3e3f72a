"""The host's word that it can't wait any longer for a job, on its way to the thread that runs the job."""

from collections.abc import Callable
from typing import Protocol


class Interruptible(Protocol):
    """The alarm of a thread that runs jobs."""

    def stop(self, seconds: float) -> None: ...


class Interruption:
    """One for each thread that runs jobs. The word may come before there is such a thread."""

    def __init__(self) -> None:
        self.stop_job: Callable[[int], None] | None = None
        """Ends the one job of a sequence where several run side by side; called from another thread."""
        self._alarm: Interruptible | None = None
        self._seconds: float | None = None

    def come(self, seconds: float) -> None:
        """The job is interrupted, and what follows it has so many seconds. From any thread."""
        self._seconds = seconds
        if self._alarm is not None:
            self._alarm.stop(seconds)

    def reach(self, alarm: Interruptible) -> None:
        """`alarm` is to be told, of what came before too."""
        self._alarm = alarm
        if self._seconds is not None:
            alarm.stop(self._seconds)
