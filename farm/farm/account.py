"""What the jobs of one process, or of one thread, use: asked of the kernel once for short ones that follow each
other within ten milliseconds, as to ask costs more than all else that these need.

Jobs that run beside each other in one process can't be told apart: what the process used between two readings is shared
equally by those that ran then. Threads have CPU times of their own.
"""

import math
import os
import resource
import sys
import time
from dataclasses import dataclass

RESOLUTION_SECONDS = 0.005
"""Jobs of that length are measured each. A process without a job for so long is asked before the next one."""

BURST_SECONDS = 0.01
"""What shorter jobs use is told this often while they follow each other."""

_MAXIMUM_UNIT = 1 if sys.platform == "darwin" else 1024
"""What `ru_maxrss` counts in, in bytes."""

_PAGE = resource.getpagesize()
_SLACK = 1 << 20
"""Bytes: what a process grows by is told to this. The kernel's own counts of resident memory may differ by as much."""

_ask_kernel, _SELF, _CHILDREN = resource.getrusage, resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN
_open, _read, _write, _close = os.open, os.read, os.write, os.close
"""As they are now: a job may put others in their place."""

Cpu = tuple[float, float, float]
"""Seconds: of the user, of the system, and both of children that were waited for."""

NO_CPU: Cpu = (0.0, 0.0, 0.0)


@dataclass(slots=True)
class Spent:
    """What those jobs used that ended since it was told last."""

    cpu: Cpu
    memory: int
    """Bytes that the process grew by, at its peak, over what it held before; one job's part of it."""


class Account:
    """Of one process. Everything happens on one thread, and times are monotonic seconds."""

    __slots__ = (
        "_at",
        "_cpu",
        "_floor",
        "_has_told",
        "_idle_since",
        "_is_open",
        "_level",
        "_most",
        "_owed",
        "_running",
        "goes_on",
        "peak",
        "shares",
    )

    def __init__(self) -> None:
        self.shares: Cpu = NO_CPU
        """What a job would have used by the last reading that had run here all the time, with its equal share."""
        self.peak = 0
        """Bytes: the most that the process held since it held `_level`, as of the last reading."""
        self.goes_on = False
        """Short jobs ended, one after another, and what they used is not told yet. One that runs alone need not begin
        then, nor end if it `passes`: both together cost as much as a function that does nothing."""
        self._running = 0
        self._most = 1
        """That ran at once since the process held `_level`."""
        self._at = -math.inf
        """When the kernel was asked last."""
        self._idle_since = -math.inf
        """When the last job ended."""
        self._cpu = NO_CPU
        """What it said then, of the whole process."""
        self._has_told = False
        """Many a process lives for one short job: that is told of."""
        self._is_open = False
        """Whether jobs have begun since it was told last what they used."""
        self._level = 0
        """Bytes that the process held before them."""
        self._floor: int | None = None
        """Bytes: the kernel tells of no peak below, as it counts what this process was before. None: not known yet."""
        self._owed = NO_CPU
        """Used by jobs that ended, and not told yet."""

    def begin(self, now: float) -> Cpu:
        """A job begins. Returns what has to be given back at its end."""
        running = self._running
        if running:
            if now - self._at > RESOLUTION_SECONDS:
                self.read(now)
        elif now - self._idle_since > RESOLUTION_SECONDS:
            self._read_idle(now)
        if not running and not self._is_open:
            self._is_open, self._most = True, 1
            if self.peak > self._level + _SLACK:  # else the reset would cost more than what it tells is worth
                self._level = self._lower_peak()
        if running:
            self._most = max(self._most, running + 1)
        self._running, self.goes_on = running + 1, False
        return self.shares

    def passes(self, begun: Cpu, seconds: float) -> bool:
        """Whether a job that took so long, and did not begin here, need not end here either.

        `begun`: the shares before it. It is for one that another one follows.
        """
        is_short = seconds < RESOLUTION_SECONDS and time.monotonic() - self._at <= BURST_SECONDS
        return is_short and self.shares is begun

    def end(self, begun: Cpu, now: float, *, is_long: bool = False, is_last: bool = False) -> Spent | None:
        """A job ended: what was used by those that ended since the last answer. None: that is told with a later one.

        `is_long`: it took `RESOLUTION_SECONDS` or more, and is told of at once. `is_last`: nobody knows of another one
        that will follow it, so this is the time to tell.
        """
        since = now - self._at
        is_last = is_last or not self._has_told
        is_due = is_last or is_long or since > BURST_SECONDS
        if is_last or (is_due and since > RESOLUTION_SECONDS):
            self.read(now)
        shares, owed = self.shares, self._owed
        if begun is not shares:
            own = _difference(shares, begun)
            self._owed = owed = own if owed is NO_CPU else _sum(owed, own)
        if not self.goes_on:
            self._running -= 1
        self._idle_since = now
        self.goes_on = not is_due and not self._running
        if not is_due:
            return None
        spent = Spent(owed, max(0, self.peak - self._level) // self._most)
        self._owed, self._has_told = NO_CPU, True
        self._is_open = self._running > 0
        return spent

    def read(self, now: float) -> None:
        """Asks the kernel: what was used since the last time belongs to the jobs that run."""
        before, running = self._cpu, self._running
        self._ask(now)
        used = _difference(self._cpu, before)
        if running > 1:
            used = used[0] / running, used[1] / running, used[2] / running
        self.shares = _sum(self.shares, used)

    def _read_idle(self, now: float) -> None:
        """No job runs. What was used since the last time belongs to short jobs that ended then, or to none."""
        before = self._cpu
        self._ask(now)
        if self._is_open:
            self._owed = _sum(self._owed, _difference(self._cpu, before))

    def _ask(self, now: float) -> None:
        user, system, peak, *_ = _ask_kernel(_SELF)
        of_children = _ask_kernel(_CHILDREN)
        self._cpu = user, system, of_children[0] + of_children[1]
        peak *= _MAXIMUM_UNIT
        self.peak = self._peak(peak) if self._floor else peak
        self._at = now

    def _lower_peak(self) -> int:
        """Bytes that the process holds now. From here on the kernel tells of the peak since."""
        try:
            # Opened each time: jobs may close all descriptors, and open files of their own under the same numbers.
            descriptor = _open("/proc/self/clear_refs", os.O_WRONLY | os.O_CLOEXEC)
        except OSError:  # not Linux: only what exceeds all before is seen
            self._floor = 0
            return self.peak
        try:
            _write(descriptor, b"5")
        except OSError:
            self._floor = 0
            return self.peak
        finally:
            _close(descriptor)
        peak = _ask_kernel(_SELF).ru_maxrss * _MAXIMUM_UNIT
        if self._floor is None:
            self._floor = peak if peak > resident() + _SLACK else 0
        self.peak = self._peak(peak)
        return self.peak

    def _peak(self, told: int) -> int:
        return resident() if self._floor and told <= self._floor else told


class ThreadAccount(Account):
    """Of one thread among others that run jobs. Children can't be told apart, and are left out.

    Memory is that of the process: what it grew by, beyond all before, is shared equally by the threads that ran jobs.
    """

    __slots__ = ()

    def _ask(self, now: float) -> None:
        try:
            used = _ask_kernel(resource.RUSAGE_THREAD)
        except (AttributeError, ValueError):  # not Linux
            self._cpu = time.thread_time(), 0.0, 0.0
            used = _ask_kernel(_SELF)
        else:
            self._cpu = used.ru_utime, used.ru_stime, 0.0
        self.peak = used.ru_maxrss * _MAXIMUM_UNIT
        self._at = now

    def begin(self, now: float) -> Cpu:
        """As of a process."""
        begun = super().begin(now)
        _busy_threads.add(self)
        self._most = len(_busy_threads)
        return begun

    def end(self, begun: Cpu, now: float, *, is_long: bool = False, is_last: bool = False) -> Spent | None:
        """As of a process."""
        self._most = max(self._most, len(_busy_threads))
        _busy_threads.discard(self)
        spent = super().end(begun, now, is_long=is_long, is_last=is_last)
        self.goes_on = False  # others have to know of each of its jobs
        return spent

    def _lower_peak(self) -> int:
        return self.peak  # others would lose theirs


_busy_threads: set[ThreadAccount] = set()


def resident() -> int:
    """Bytes that this process holds in memory now, with what it shares with other processes."""
    try:
        descriptor = _open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # not Linux
        import psutil  # noqa: PLC0415 - costs memory in each process, and Linux needs none of it

        return int(psutil.Process().memory_info().rss)
    try:
        return int(_read(descriptor, 200).split()[1]) * _PAGE
    finally:
        _close(descriptor)


def _sum(one: Cpu, other: Cpu) -> Cpu:
    return one[0] + other[0], one[1] + other[1], one[2] + other[2]


def _difference(later: Cpu, earlier: Cpu) -> Cpu:
    return later[0] - earlier[0], later[1] - earlier[1], later[2] - earlier[2]
