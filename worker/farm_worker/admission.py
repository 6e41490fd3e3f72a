"""Whether this host takes more jobs, how many it may hold, and why. Pure: numbers in, a decision out.

Two latches, one for the load and one for memory, close at their line and open again below it (`Latch`). The shown
state and the capacity follow from the latches and from what else holds: draining, a failure, no process yet.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

State = Literal["starting", "available", "full", "draining", "unhealthy"]

RESUME_SECONDS = 1.0
"""A value must stay below its line this long before the host takes jobs again."""
GUARD_SECONDS = 5.0
"""After that the measured CPU load does not make it full again for this long: it would only flap."""
STARVED_SECONDS = 10.0
"""Full for this long with nothing running: somebody has to look at it."""


class AdmissionLines(Protocol):
    """The settings that count here."""

    @property
    def threshold(self) -> float: ...
    @property
    def memory_threshold(self) -> float: ...
    @property
    def resume_margin(self) -> float: ...
    @property
    def admission(self) -> Literal["hold", "strict"]: ...


@dataclass(frozen=True, slots=True)
class AdmissionFacts:
    """What is known now. Shares are 0 to 1."""

    load: float
    memory_share: float
    others_load: float
    """The load that would remain without this host."""
    slots: int
    busy: int
    """Jobs running now."""
    prefetch: int = 0
    pending: int = 0
    """Processes that warm up now; `slots` counts those that are ready."""
    peak: int = 0
    """The greatest number running at once since the last decision; `busy` counts if it is greater."""
    user_load: bool = False
    """The load comes from the app's own function."""
    error: str | None = None
    """Why the load is not known, or the pool cannot work: a sentence."""
    warming: bool = False
    """No process was ready yet."""
    draining: bool = False
    resumable: bool = False
    """If it drains: until an operator says otherwise. Else it stops."""


@dataclass(frozen=True, slots=True)
class Latch:
    """Closed at or over a line, open again after a while below the line less a margin."""

    closed: bool = False
    below_since: float | None = None
    opened_at: float = -math.inf


@dataclass(frozen=True, slots=True)
class AdmissionState:
    """The decision. Times are the caller's monotonic clock."""

    state: State = "starting"
    reason: str = "no process is ready yet"
    """A sentence for people; empty when there is nothing to explain."""
    load: float = 0.0
    """The load decided on; 1 while it is not known, so that nobody takes the host for an idle one."""
    capacity: int = 0
    """Jobs, waiting in the inbox and running, that this host may hold now."""
    held: int = 0
    """The greatest number running at once since the host was last available."""
    running_limit: int = 0
    """Jobs that may run at once: a host that holds what it has starts no more than that."""
    starved: str | None = None
    """Set while full and empty for 10 s: what uses the resource, and the setting."""
    since: float = 0.0
    """When `state` began."""
    load_latch: Latch = field(default_factory=Latch)
    memory_latch: Latch = field(default_factory=Latch)
    empty_since: float | None = None

    @classmethod
    def initial(cls, now: float) -> "AdmissionState":
        """Before the first decision."""
        return cls(since=now)


def decide(previous: AdmissionState, facts: AdmissionFacts, settings: AdmissionLines, now: float) -> AdmissionState:
    """The decision that follows `previous`. The first one follows `initial`."""
    failure = facts.error or _nonsense(facts)
    load_latch, memory_latch = previous.load_latch, previous.memory_latch
    if failure is None:
        guard = 0.0 if facts.user_load else GUARD_SECONDS
        line = _load_line(facts, settings)
        load_latch = _turn(load_latch, facts.load, (line, settings.resume_margin, guard), now)
        memory_latch = _turn(
            memory_latch, facts.memory_share, (settings.memory_threshold, settings.resume_margin, 0.0), now
        )
    state = _state(facts, failure, is_full=load_latch.closed or memory_latch.closed)
    held = _held(previous, facts, state)
    undecided = replace(
        previous,
        state=state,
        held=held,
        since=previous.since if state == previous.state else now,
        load=facts.load if failure is None else 1.0,
        load_latch=load_latch,
        memory_latch=memory_latch,
        empty_since=_empty_since(previous, facts, state, now),
    )
    return replace(
        undecided,
        reason=_reason(undecided, facts, settings, failure),
        capacity=_capacity(undecided, facts, settings),
        running_limit=_running_limit(undecided, facts),
        starved=_starved(undecided, facts, settings, now),
    )


def _nonsense(facts: AdmissionFacts) -> str | None:
    for name, value in (("load", facts.load), ("memory", facts.memory_share), ("others' load", facts.others_load)):
        if not 0 <= value <= 1:  # NaN compares false with everything
            return f"{'the app says load' if name == 'load' and facts.user_load else name} {value}; it must be 0 to 1"
    return None


def _turn(latch: Latch, value: float, lines: tuple[float, float, float], now: float) -> Latch:
    """`lines`: where it closes, how far below it opens, and for how long after opening it stays open."""
    line, margin, guard = lines
    if not latch.closed:
        if value >= line and now - latch.opened_at >= guard:
            return Latch(closed=True, opened_at=latch.opened_at)
        return latch
    if value >= _resume_line(line, margin):
        return replace(latch, below_since=None)
    if latch.below_since is None:
        return replace(latch, below_since=now)
    if now - latch.below_since >= RESUME_SECONDS:
        return Latch(closed=False, opened_at=now)
    return latch


def _load_line(facts: AdmissionFacts, settings: AdmissionLines) -> float:
    """Measured load is never more than 1, and 1 on a machine that is fully used: a threshold of 1 is no line there."""
    return settings.threshold if settings.threshold < 1 or facts.user_load else math.inf


def _resume_line(line: float, margin: float) -> float:
    """A margin as great as the line would keep the latch closed for ever."""
    return line - margin if margin < line else line / 2


def _state(facts: AdmissionFacts, failure: str | None, *, is_full: bool) -> State:
    if facts.draining:
        return "draining"
    if failure is not None:
        return "unhealthy"
    if facts.warming:
        return "starting"
    return "full" if is_full else "available"


def _held(previous: AdmissionState, facts: AdmissionFacts, state: State) -> int:
    """While available: what runs. The last such number and all later ones count once the host is full.

    A process that is replaced meanwhile does not make it less. If every process that was there before had a job when
    the host got full, those that have just become ready or warm up count as well: a batch waits only for them.
    """
    now = min(max(facts.busy, facts.peak), facts.slots)
    if state != "full":
        return now
    if previous.state != "full" and 0 < previous.running_limit <= now:
        now = facts.slots + facts.pending
    return max(previous.held, now)


def _empty_since(previous: AdmissionState, facts: AdmissionFacts, state: State, now: float) -> float | None:
    if state != "full" or facts.busy > 0:
        return None
    return now if previous.empty_since is None else previous.empty_since


def _capacity(decided: AdmissionState, facts: AdmissionFacts, settings: AdmissionLines) -> int:
    room = facts.slots + facts.prefetch
    if decided.state == "available":
        return room
    if decided.state != "full" or (facts.user_load and decided.load_latch.closed):
        return 0
    if facts.memory_share >= settings.memory_threshold:
        return 0
    # what runs is not the cause then, so one job may try; memory that only has to fall further does not stop it
    first_job = 1 if facts.busy == 0 else 0
    if (
        decided.memory_latch.closed
        or settings.admission == "strict"
        or facts.others_load >= _load_line(facts, settings)
    ):
        return min(first_job, room)
    return min(max(decided.held + facts.prefetch, first_job), room)


def _running_limit(decided: AdmissionState, facts: AdmissionFacts) -> int:
    if decided.state == "full" and decided.load_latch.closed and not facts.user_load:
        return max(min(decided.held, facts.slots), min(1, facts.slots))
    return facts.slots


def draining_reason(*, resumable: bool) -> str:
    """Why a host drains."""
    until = " until `farm resume`" if resumable else ""
    return f"takes no new jobs{until}, running ones may end"


def _reason(decided: AdmissionState, facts: AdmissionFacts, settings: AdmissionLines, failure: str | None) -> str:
    if decided.state == "draining":
        return draining_reason(resumable=facts.resumable)
    if decided.state == "unhealthy":
        return failure or ""
    if decided.state == "starting":
        return "no process is ready yet"
    reasons = []
    if decided.memory_latch.closed:
        line, margin = settings.memory_threshold, settings.resume_margin
        reasons.append(_over("memory in use", facts.memory_share, line, margin))
    if decided.load_latch.closed:
        name = "the app's own load" if facts.user_load else "load"
        reasons.append(_over(name, facts.load, settings.threshold, settings.resume_margin))
        if not facts.user_load and facts.others_load >= settings.threshold:
            reasons.append(f"{_number(facts.others_load)} of it is not caused by this host")
    if not reasons and facts.load >= _load_line(facts, settings):
        return f"load {_number(facts.load)} is over the threshold, but it was available only just now"
    return "; ".join(reasons)


def _over(name: str, value: float, line: float, margin: float) -> str:
    if value >= line:
        return f"{name} {_number(value)} is at or over the threshold {_number(line)}"
    return f"{name} {_number(value)} was over the threshold {_number(line)}; waits for 1 s below " + _number(
        _resume_line(line, margin)
    )


def _starved(decided: AdmissionState, facts: AdmissionFacts, settings: AdmissionLines, now: float) -> str | None:
    if decided.empty_since is None or now - decided.empty_since < STARVED_SECONDS:
        return None
    setting, line = "THRESHOLD", settings.threshold
    if decided.memory_latch.closed:
        what = f"other programs, or processes kept warm, use {facts.memory_share:.0%} of the memory"
        setting, line = "MEMORY_THRESHOLD", settings.memory_threshold
    elif facts.user_load:
        what = f"the app's own load says {_number(facts.load)}"
    else:
        what = f"other programs on this machine use {facts.others_load:.0%} of the CPU"
    return f"full with nothing running: {what} ({setting} is {_number(line)})"


def _number(value: float) -> str:
    """Two decimals, three where they say more."""
    return f"{value:.2f}" if abs(value - round(value, 2)) < 0.0005 else f"{value:.3f}"
