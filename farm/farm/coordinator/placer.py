"""The duty that moves jobs from queues to hosts."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from farm.coordinator.dealing import NOTHING, Dealing
from farm.coordinator.needs import needs_of_queues
from farm.coordinator.placement import takes_jobs
from farm.coordinator.pulse import seconds_to_pulse
from farm.coordinator.reservation import helps_itself, reservations, sole_hosts
from farm.coordinator.waking import Waking
from farm.store.leadership import LeaderScripts
from farm.store.placement import MAX_PLAN, Placed, PlacementStore
from farm.store.survey import UNREADABLE, HostView, Survey

SAFETY_POLL_SECONDS = 1.0
RESTLESS_POLL_SECONDS = 0.05
"""While jobs that fit nowhere stand in a queue, one that comes behind them rings nowhere."""
PACE_SECONDS = 0.002
SLOWEST_PACE_SECONDS = 0.05
"""Time between two rounds under load: more jobs share the cost of one. Only while hosts have work ahead meanwhile, and
only as long as nothing else happens: a job for a host that has room, or a host that takes other jobs than before."""
SHARE_USED_UP = 0.5
"""What hosts may use up until the next round, of the work that they have ahead."""
REPEAT_SECONDS = 60.0
"""What is reserved is said again after so long: Redis may have lost it."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one look at the farm led to."""

    placed: int
    more: bool
    """The plan was full: there may be room and jobs left."""
    backlog: bool
    ahead: int
    """Jobs that hosts hold now beside those that they run."""
    watch: frozenset[str]
    """Empty queues for whose jobs there is room."""
    lacks_room: bool = True
    """Whether a host that gets room is news: jobs wait for it, or would if they came now."""
    is_restless: bool = False
    """Jobs that fit nowhere stand in a queue for whose jobs there is room: nothing tells of one that comes behind."""


class Placer:
    """Looks, plans, places, sleeps until there may be something to do."""

    def __init__(self, store: PlacementStore, suspect_after: float) -> None:
        self._store = store
        self.dealing = Dealing(store, suspect_after)
        self._suspect_after = suspect_after
        self.queues: tuple[str, ...] = ()
        """Queues seen by the last look."""
        self.unreadable: frozenset[str] = frozenset()
        """Queues whose key is not a list, as of the last look."""
        self._placed_at: dict[str, float] = {}
        self._filled_at: float | None = None
        """When the round before began, if it gave hosts all that they took: what is placed next was used up since."""
        self._look: asyncio.Future[Survey] | None = None
        """The next one, if somebody waits for it."""
        self._reserved: dict[str, tuple[str, str] | None] = {}
        """Queue → name and identity of the host that it is reserved for. What is not in here Redis may still have."""
        self._sole: tuple[tuple[str, str], ...] | None = None
        """Name and identity of the hosts said to be sole; None: Redis may know others."""
        self._helped: frozenset[str] = frozenset()
        """Names of sole hosts for which more waited, at the look before, than they had room for."""
        self._reserved_at = float("-inf")
        """When all of it was last said."""

    async def next_look(self) -> Survey:
        """What the next look sees: the placer looks each second at least, unless Redis is away."""
        if self._look is None:
            self._look = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._look)

    def _tell_look(self, survey: Survey) -> None:
        look, self._look = self._look, None
        if look is not None:
            look.set_result(survey)

    def placed_ago(self, queue: str) -> float:
        """Seconds since a job was last placed from the queue; infinite if none was."""
        return time.monotonic() - self._placed_at.get(queue, float("-inf"))

    async def run(self, leader: LeaderScripts, waking: Waking, on_contact: Callable[[], None]) -> None:
        """Goes on until cancelled, and calls `on_contact` after each look. Raises what `run_once` raises."""
        self._reserved_at, self._sole = float("-inf"), None  # it may be another Redis by now
        self._store.begin()
        self.dealing.begin()
        while True:
            started = time.monotonic()
            outcome = await self.run_once(leader)
            on_contact()
            if not (await self._rest(outcome, started, waking) or outcome.more):
                seconds = RESTLESS_POLL_SECONDS if outcome.is_restless else seconds_to_pulse(SAFETY_POLL_SECONDS)
                await waking.sleep(outcome.watch, seconds, for_room=outcome.lacks_room)

    async def _rest(self, outcome: Round, started: float, waking: Waking) -> bool:
        """Lets hosts use up some of what they got. Returns whether something happened meanwhile."""
        filled = outcome.placed and outcome.backlog and not outcome.more
        filled_at, self._filled_at = self._filled_at, started if filled else None
        if not (outcome.placed and outcome.ahead):
            return False
        seconds = pace(outcome, None if filled_at is None else started - filled_at)
        return await waking.sleep(outcome.watch, started + seconds - time.monotonic(), for_room=False)

    async def run_once(self, leader: LeaderScripts) -> Round:
        """One look, and one placement if there is anything to place. Raises NotLeader and redis-py's errors."""
        survey = await self._store.survey()
        self._tell_look(survey)
        self.queues = tuple(survey.waiting)
        needs = needs_of_queues(survey.hosts)
        sole = sole_hosts(survey.live_hosts(self._suspect_after), needs)
        waiting = self._waiting_for_us(survey, sole)
        hosts = [host for host in survey.hosts if takes_jobs(host, survey.now, self._suspect_after)]
        placed = NOTHING
        if not survey.suspended:
            placed = await self.dealing.deal(leader, survey, needs, waiting, hosts)
            self._placed_at.update(dict.fromkeys(placed.from_queue, time.monotonic()))
        self.unreadable = frozenset(queue for queue, length in survey.waiting.items() if length == UNREADABLE)
        outcome = self._round(waiting, hosts, placed)
        if survey.suspended:
            return outcome
        taking = await self._reserve(leader, survey, placed, sole, needs)
        watch = outcome.watch - taking
        served = _queues_of(survey.hosts) & waiting.keys()
        return replace(outcome, watch=watch, lacks_room=outcome.backlog or not served <= watch | taking)

    def _waiting_for_us(self, survey: Survey, sole: Iterable[HostView]) -> dict[str, int]:
        """Length of each queue, but for those whose host helps itself."""
        known, before = self._sole or (), self._helped
        helped = [host for host in sole if (host.name, host.identity) in known and helps_itself(host, survey.waiting)]
        self._helped = frozenset(host.name for host in helped)
        # What is new is placed as far as there is room: a host that nothing ended on since has not asked for it.
        theirs = {queue for host in helped if host.name in before for queue in host.queues}
        theirs -= survey.particular | self.dealing.fronts.queues  # it leaves those to us
        return {queue: length for queue, length in survey.waiting.items() if queue not in theirs}

    async def _reserve(
        self,
        leader: LeaderScripts,
        survey: Survey,
        placed: Placed,
        sole: Sequence[HostView],
        dealt_one_by_one: Collection[str],
    ) -> frozenset[str]:
        """Reserves empty queues. Returns those whose hosts take the next job: nobody else has to wait for it."""
        hosts = {host.name: host for host in survey.live_hosts(self._suspect_after)}
        for name, number in placed.on_host.items():
            hosts[name] = replace(hosts[name], held=hosts[name].held + number)
        empty = [
            queue
            for queue, length in survey.waiting.items()
            if length == placed.from_queue.get(queue, 0) and queue not in dealt_one_by_one
        ]
        before = {queue: host[0] for queue, host in self._reserved.items() if host is not None}
        chosen = reservations(list(hosts.values()), empty, before)
        wanted = {queue: hosts[name] for queue, name in chosen.items()}
        repeat = time.monotonic() - self._reserved_at > REPEAT_SECONDS
        changes: dict[str, HostView | None] = {
            queue: host
            for queue, host in wanted.items()
            if repeat or self._reserved.get(queue) != (host.name, host.identity)
        }
        changes |= {queue: None for queue in empty if queue not in wanted and self._is_void(queue, hosts)}
        sole_now = tuple((host.name, host.identity) for host in sole)
        if changes or repeat or sole_now != self._sole:
            await self._store.reserve(leader, changes, sole)
            self._sole = sole_now
            for queue, host in changes.items():
                self._reserved[queue] = None if host is None else (host.name, host.identity)
            self._reserved_at = time.monotonic() if repeat else self._reserved_at
        return frozenset(wanted)

    def _is_void(self, queue: str, hosts: Mapping[str, HostView]) -> bool:
        """Whether Redis may still name a host that is gone. One that is only busy keeps what it has."""
        host = self._reserved.get(queue, ("", ""))
        return host is not None and (host[0] not in hosts or hosts[host[0]].identity != host[1])

    def _round(self, waiting: Mapping[str, int], hosts: Sequence[HostView], placed: Placed) -> Round:
        """Jobs that fit nowhere now count neither as left nor as waiting for room: what they wait for is not that."""
        dealing = self.dealing
        left = {queue: length - placed.from_queue.get(queue, 0) for queue, length in waiting.items()}
        aside = {queue: len(dealing.fronts.aside(queue)) for queue in waiting}
        with_room = [host for host in hosts if host.room > placed.on_host.get(host.name, 0)]
        return Round(
            placed=placed.total,
            more=(dealing.is_full and placed.total == MAX_PLAN) or (dealing.looks_again and bool(with_room)),
            backlog=any(length > aside[queue] for queue, length in left.items()),
            ahead=sum(max(0, host.held + placed.on_host.get(host.name, 0) - host.slots) for host in hosts),
            watch=_empty_queues(with_room, left),
            is_restless=dealing.fronts.is_restless or any(aside.get(queue) for queue in _queues_of(with_room)),
        )


def pace(outcome: Round, seconds: float | None) -> float:
    """Seconds from the begin of one round to the next. `seconds`: in which hosts used up what was placed, if known."""
    if not outcome.backlog or seconds is None:
        return PACE_SECONDS
    use_up = outcome.ahead * SHARE_USED_UP * seconds / outcome.placed
    return min(max(use_up, PACE_SECONDS), SLOWEST_PACE_SECONDS)


def _empty_queues(hosts: Sequence[HostView], left: Mapping[str, int]) -> frozenset[str]:
    return frozenset(queue for queue in _queues_of(hosts) if left.get(queue) == 0)


def _queues_of(hosts: Sequence[HostView]) -> set[str]:
    """Many hosts have the same list."""
    return {queue for queues in {host.queues for host in hosts} for queue in queues}
