"""A process that does not answer its ping: is it dead, or busy? Values in, a verdict out.

A thread of the process answers, so nothing that Python code does silences it. What does:

- the process is stopped, or is dead without having ended: it is killed;
- it is idle and does not answer: it is killed;
- its job holds the GIL in C code and uses CPU time: it works. The job's own timeout decides;
- its job holds the GIL and uses none: the job's timeout decides, and where it has none the process is killed;
- the whole machine or the host stood still: that is the host's to know, see `supervision`.
"""

from dataclasses import dataclass
from enum import StrEnum

LEAST_SHARE = 0.01
"""Of a CPU: a process that used less in a while did not work."""
LOOKS_PER_TIMEOUT = 4
"""A silent process is looked at so often until its time is over, so that the verdict rests on several looks."""


class Verdict(StrEnum):
    """What becomes of a silent process."""

    WAIT = "wait"
    BUSY = "busy"
    """It waits, too, and it is worth a warning."""
    KILL = "kill"


class Doing(StrEnum):
    """What it was given to do."""

    STARTING = "starting"
    IDLE = "idle"
    JOB = "job"
    JOB_WITHOUT_TIMEOUT = "job without timeout"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Look:
    """What the kernel says of a process."""

    at: float
    """Monotonic seconds."""
    state: str
    """One letter, as in /proc/<pid>/stat: R runs, S and D wait, T and t are stopped, Z is dead."""
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Silence:
    """The looks at one silent process, in short."""

    last: Look
    worked_at: float
    """When it was last seen to have used CPU time; at the first look, when its silence began."""
    looks: int = 1

    def after(self, look: Look) -> "Silence":
        """With one look more."""
        used, seconds = look.cpu_seconds - self.last.cpu_seconds, look.at - self.last.at
        worked = seconds > 0 and used / seconds >= LEAST_SHARE
        return Silence(look, look.at if worked else self.worked_at, self.looks + 1)


def judge(silent_for: float, timeout: float, silence: Silence, doing: Doing) -> Verdict:
    """Of a process that has not answered for `silent_for` seconds; PING_TIMEOUT allows `timeout`.

    Starting and closing have limits of their own: there only one that is stopped or dead is killed here.
    """
    if silent_for < timeout or silence.looks < 2:
        return Verdict.WAIT
    if silence.last.state in {"T", "t", "Z", "X"}:
        return Verdict.KILL
    if doing in {Doing.STARTING, Doing.CLOSING}:
        return Verdict.WAIT
    if doing is Doing.IDLE:
        return Verdict.KILL
    if silence.last.at - silence.worked_at < timeout:
        return Verdict.BUSY
    return Verdict.KILL if doing is Doing.JOB_WITHOUT_TIMEOUT else Verdict.BUSY
