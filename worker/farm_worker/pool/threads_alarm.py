"""Time limits in threads, which get no signals: the exception comes as soon as the thread runs Python code again."""

import ctypes
import threading
import time
from math import inf
from weakref import WeakSet

from rq.timeouts import JobTimeoutException

from farm.errors import JobInterrupted
from farm_worker.pool.alarm import LONGEST_SECONDS, STUBBORN_SECONDS, Alarm


class ThreadAlarm(Alarm):
    """Raises in the thread that made it: JobTimeoutException when a limit is over, JobInterrupted as the host stops."""

    def __init__(self) -> None:  # not that of Alarm, which takes a signal
        self.interrupt = None
        self.stops_at = inf
        self.interrupted = False
        self._in_job = False
        self.deadline = inf
        """Monotonic seconds; `inf` when nothing is armed."""
        self._asked = False
        self._seconds = 0.0
        self._thread = threading.get_ident()
        self._thrown = False
        self._lock = threading.Lock()
        _timekeeper.watch(self)

    def arm(self, seconds: float) -> None:
        """Starts a limit. 0 and less mean none."""
        if seconds > 0:
            self._seconds = seconds
            self._asked = False
            self.deadline = time.monotonic() + min(seconds, LONGEST_SECONDS)
            _timekeeper.mind(self.deadline)

    def disarm(self) -> None:
        """Ends the limit. No exception comes after this, not even one that is on its way."""
        with self._lock:
            self._in_job = False
            self.deadline = inf
            if self._thrown:
                self._thrown = False
                _raise_in(self._thread, None)

    def ring(self, now: float) -> None:
        """For the timekeeper: the limit is over, if it is."""
        with self._lock:
            if now >= self.deadline:
                self._end_block(now)

    def _interrupt_job(self) -> None:
        with self._lock:
            if self._in_job:
                self.interrupted = True
                self._end_block(time.monotonic())

    def _end_block(self, now: float) -> None:
        if self.interrupt is not None and not self._asked and self._ask():
            self.deadline = now + STUBBORN_SECONDS
            _timekeeper.mind(self.deadline)
            return
        self.deadline = inf
        self._thrown = True
        _raise_in(self._thread, JobInterrupted if self.interrupted else _timeout_of(self._text()))

    def _ask(self) -> bool:
        interrupt = self.interrupt
        self._asked = True  # first: the thread may go on before the call returns, and asks why
        self._asked = interrupt is not None and interrupt()
        return self._asked


class _Timekeeper:
    """One thread for the limits of all."""

    def __init__(self) -> None:
        self._alarms: WeakSet[ThreadAlarm] = WeakSet()
        self._changed = threading.Condition()
        self._wakes_at = inf
        self._started = False

    def watch(self, alarm: ThreadAlarm) -> None:
        with self._changed:
            self._alarms.add(alarm)
            if not self._started:
                self._started = True
                threading.Thread(target=self._run, name="farm-timekeeper", daemon=True).start()

    def mind(self, deadline: float) -> None:
        """There is a new one. Cheap where it is no earlier than others."""
        if deadline < self._wakes_at:
            with self._changed:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                now = time.monotonic()
                for alarm in list(self._alarms):
                    alarm.ring(now)
                self._wakes_at = inf  # first, as a deadline may come in between: then we are told
                self._wakes_at = min((alarm.deadline for alarm in list(self._alarms)), default=inf)
                self._changed.wait(None if self._wakes_at == inf else max(0.0, self._wakes_at - time.monotonic()))


_timekeeper = _Timekeeper()


def _timeout_of(text: str) -> type[JobTimeoutException]:
    """A class whose instances have this text: the interpreter makes the instance, in the other thread."""

    def __init__(self: JobTimeoutException, *_: object) -> None:  # noqa: N807 - it becomes the method
        Exception.__init__(self, text)

    return type("JobTimeoutException", (JobTimeoutException,), {"__init__": __init__, "__module__": "rq.timeouts"})


def _raise_in(thread: int, kind: type[BaseException] | None) -> None:
    exception = None if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
