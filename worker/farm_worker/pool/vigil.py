"""Asks processes whether they answer, and looks closer at those that do not."""

import logging
import os
from dataclasses import dataclass

import psutil

from farm_settings import PoolSettings
from farm_worker.load.files import read
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.reasons import Reason
from farm_worker.pool.silence import LOOKS_PER_TIMEOUT, Doing, Look, Silence, Verdict, judge
from farm_worker.pool.state import State

WARN_AGAIN_SECONDS = 60.0
"""Between two warnings about slow answers of one process."""
_TICK = 1.0 / os.sysconf("SC_CLK_TCK")
_STATES = {psutil.STATUS_STOPPED: "T", psutil.STATUS_TRACING_STOP: "t", psutil.STATUS_ZOMBIE: "Z"}

_logger = logging.getLogger("farm_worker.pool.supervision")


@dataclass(slots=True)
class _Note:
    """What is remembered of one process."""

    silence: Silence | None = None
    host_late: float = 0.0
    """The most that a check of ours was late since the ping was sent."""
    warned_at: float | None = None
    busy_job: int = 0
    """Sequence of the job that was last said to be busy."""


class Vigil:
    """Of all processes of a pool."""

    def __init__(self, settings: PoolSettings) -> None:
        self._settings = settings
        self._look_every = min(settings.ping_interval, settings.ping_timeout / LOOKS_PER_TIMEOUT)
        self._notes: dict[int, _Note] = {}

    def watch(self, process: ProcessHandle, late: float, now: float) -> None:
        """One round of one process; the round came `late` seconds after it was planned."""
        if process.pid == 0 or process.is_being_killed:
            return
        note = self._notes.get(process.number)
        if note is None:
            note = self._notes[process.number] = _Note()
        note.host_late = max(note.host_late, late)
        self._warn_of_slow_answer(process, note, now)
        line = process.line
        if line.silent_for(now):
            self._look_at_silent(process, note, now)
        elif now - line.last_asked_at >= self._settings.ping_interval:
            note.silence, note.host_late = None, 0.0
            line.ask(now)

    def forgive(self, process: ProcessHandle, now: float) -> None:
        """The host stood still: all silence is its own until now."""
        process.line.forgive(now)
        if process.number in self._notes:
            self._notes[process.number].silence = None

    def forget(self, numbers: set[int]) -> None:
        """Only these are left."""
        if len(self._notes) > len(numbers):
            self._notes = {number: note for number, note in self._notes.items() if number in numbers}

    def _look_at_silent(self, process: ProcessHandle, note: _Note, now: float) -> None:
        silent_for, before = process.line.silent_for(now), note.silence
        if now - (before.last.at if before else process.line.asked_at) < self._look_every:
            return
        look = look_at(process.pid, now)
        if look is None:  # it has ended, which is noticed elsewhere
            return
        note.silence = Silence(look, process.line.asked_at) if before is None else before.after(look)
        doing = _doing(process)
        verdict = judge(silent_for, self._settings.ping_timeout, note.silence, doing)
        if verdict is Verdict.KILL:
            process.kill(Reason.UNRESPONSIVE)
        elif verdict is Verdict.BUSY:
            self._warn_of_busy_job(process, note, silent_for)

    def _warn_of_busy_job(self, process: ProcessHandle, note: _Note, silent_for: float) -> None:
        job = process.assignments[0]
        if note.busy_job == job.sequence:
            return
        note.busy_job = job.sequence
        _logger.warning(
            "process %d (pid %d) has not answered for %.1f s: job %s keeps Python from running (it holds the GIL). "
            "It goes on until its own timeout: %s",
            process.number,
            process.pid,
            silent_for,
            job.job_id.decode("utf-8", "replace"),
            "none" if job.timeout is None else f"{job.timeout:g} s",
        )

    def _warn_of_slow_answer(self, process: ProcessHandle, note: _Note, now: float) -> None:
        slowest = process.line.take_slowest()
        if slowest < self._settings.high_ping_threshold or process.state is State.STARTING:
            return  # imports of large modules keep the GIL, and nobody waits for an answer then
        if note.warned_at is not None and now - note.warned_at < WARN_AGAIN_SECONDS:
            return
        note.warned_at = now
        if note.host_late >= slowest / 2:
            side = f"the host was late: its own loop stood still for {note.host_late:.1f} s"
        else:
            side = "the process was late"
        text = "process %d (pid %d) answered a ping after %.1f s; %s"
        _logger.warning(text, process.number, process.pid, slowest, side)


def look_at(pid: int, now: float) -> Look | None:
    """What the kernel says now. None when the process has ended."""
    if os.path.exists("/proc/self/stat"):
        try:
            fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
            return Look(now, fields[0], (int(fields[11]) + int(fields[12])) * _TICK)
        except (OSError, ValueError, IndexError):
            return None
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Look(now, _STATES.get(process.status(), "S"), times.user + times.system)
    except psutil.Error:
        return None


def _doing(process: ProcessHandle) -> Doing:
    if process.state is State.STARTING:
        return Doing.STARTING
    if process.assignments:
        return Doing.JOB if process.assignments[0].timeout is not None else Doing.JOB_WITHOUT_TIMEOUT
    return Doing.CLOSING if process.state is State.CLOSING else Doing.IDLE
