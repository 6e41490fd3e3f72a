"""The front of a queue whose jobs are dealt one by one. Pure: it says what is to be read, and takes what was seen.

Jobs that fit nowhere now step aside: they stay where they stand in the queue, and are passed over. Of each kind of
needs only the first ones are offered again with each look, as what does not fit the first does not fit the others.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from farm.aside import MOST_ASIDE
from farm.coordinator.needs import NONE, Needs, waiting_job
from farm.coordinator.waiting import Kind, WaitingJob
from farm.store.front import Look, Seen

PAGE = 100
"""Jobs looked at behind those that stepped aside, with one look."""

OFFERED = 100
"""Jobs of each kind of needs that are offered again with each look."""

WATCHED = 20
"""Ids at the very front that are compared with each look: what was given back stands there."""

WHOLE_SECONDS = 1.0
"""All ids are compared when that was not done for so long, or when something does not fit."""

_EVER = float("-inf")


class Front:
    """What is known of the front of one queue."""

    def __init__(self, queue: str) -> None:
        self.queue = queue
        self.needs: Needs = NONE
        """What the apps of hosts say that its jobs need."""
        self.is_full_page = False
        """The last look saw as many jobs behind those aside as it asked for: there may be more."""
        self._aside: dict[bytes, WaitingJob] = {}
        """In the order in which they stand."""
        self._span = 0
        """Ranks of the queue that they take up, from the first; with ids among them that stand there twice."""
        self._last = b""
        """The id at the last of these ranks."""
        self._unknown: tuple[bytes, ...] = ()
        """Ids that stand among those aside and were not read yet."""
        self._fresh: frozenset[bytes] = frozenset()
        """Those of them that were read with the last look."""
        self._order: Mapping[bytes, int] = {}
        """Ranks as of the last look that compared all."""
        self._offer: list[WaitingJob] | None = []
        self._whole_at = _EVER
        self._is_whole = False
        """Whether all ids are compared with the look that is under way."""

    @property
    def aside(self) -> Collection[WaitingJob]:
        """Jobs that stepped aside, in their order. Not a copy: they may be ten thousand."""
        return self._aside.values()

    @property
    def is_restless(self) -> bool:
        """Something in it is still to be read."""
        return bool(self._unknown) or (self._span > 0 and self._whole_at == _EVER)

    def look(self, now: float) -> Look:
        """What is to be read. `now`: monotonic seconds."""
        self._is_whole = self._span > 0 and now - self._whole_at >= WHOLE_SECONDS
        others = self._unknown
        ids = WATCHED if self._span else 0
        if self._is_whole:
            self._whole_at, ids = now, self._span + WATCHED
            declined = (job_id for job_id, job in self._aside.items() if job.declined_by)  # that may be over by now
            others = (*others, *itertools.islice(declined, PAGE))
        last = self._span - 1 + (PAGE if self._span < MOST_ASIDE else 0)
        return Look(ids, max(0, self._span - 1), last, others)

    def see(self, seen: Seen, now: float) -> tuple[WaitingJob, ...]:
        """The jobs to be dealt now, in their order: some of those aside, and those behind. `now`: Redis's clock."""
        behind = [waiting_job(job, self.queue, self.needs, now) for job in seen.jobs]
        self.is_full_page = len(behind) >= PAGE
        if self._span:
            first, behind = behind[:1], behind[1:]
            if not first or first[0].job_id != self._last or self._is_news(seen.ids):
                self._whole_at = _EVER
                behind = []
        fresh = self._read_anew([waiting_job(job, self.queue, self.needs, now) for job in seen.others])
        if self._is_whole:
            self._compare(seen.ids, {job.job_id for job in behind})
        else:
            self._unknown = ()
        fresh = [job for job in fresh if self._order.get(job.job_id, self._span) < self._span]
        self._fresh = frozenset(job.job_id for job in fresh)
        front = self._offered()
        if fresh:
            front = sorted([*front, *fresh], key=lambda job: self._order[job.job_id])
        return tuple({job.job_id: job for job in (*behind[::-1], *front[::-1])}.values())[::-1]

    def settle(self, dealt: Sequence[WaitingJob], placed: Collection[bytes], passed: Collection[bytes]) -> None:
        """What became of the jobs that `see` gave: ids of those that were placed, and of those that fit nowhere now.

        What stands behind a job of which neither is said is looked at again.
        """
        is_decided = True
        for job in dealt:
            stood_among_them = job.job_id in self._aside or job.job_id in self._fresh
            if job.job_id in placed:
                self._aside.pop(job.job_id, None)
                if stood_among_them:
                    self._span, self._whole_at = max(0, self._span - 1), _EVER
            elif stood_among_them:
                if job.job_id in self._fresh and job.job_id in passed:
                    self._aside[job.job_id] = job
                    self._whole_at = _EVER
            elif is_decided and job.job_id in passed:
                self._aside[job.job_id] = job
                self._span, self._last = self._span + 1, job.job_id
            else:
                is_decided = False
        self._offer = None
        if not self._aside:
            self.forget()

    def forget(self) -> None:
        """Nothing stands aside."""
        self._aside, self._unknown, self._fresh, self._order, self._offer = {}, (), frozenset(), {}, None
        self._span, self._last, self._whole_at = 0, b"", _EVER

    def _is_news(self, ids: Sequence[bytes]) -> bool:
        """Whether a job stands at the head that was not there before."""
        return any(job_id not in self._aside for job_id in ids[: min(self._span, WATCHED)])

    def _read_anew(self, jobs: Iterable[WaitingJob]) -> list[WaitingJob]:
        """Those that do not stand aside yet; of the others it is noted what they need now."""
        fresh = []
        for job in jobs:
            if job.job_id in self._aside:
                self._aside[job.job_id] = job
                self._offer = None
            else:
                fresh.append(job)
        return fresh

    def _compare(self, ids: Sequence[bytes], behind: Collection[bytes]) -> None:
        """Keeps those aside that still stand there, in the order in which they do, and finds what came between them."""
        self._order = {ids[rank]: rank for rank in reversed(range(len(ids)))}  # the first, of an id that is there twice
        self._aside = {job_id: self._aside[job_id] for job_id in ids if job_id in self._aside}
        self._offer = None
        self._span = 1 + max((rank for rank, job_id in enumerate(ids) if job_id in self._aside), default=-1)
        self._last = ids[self._span - 1] if self._span else b""
        strange = (job_id for job_id in ids[: self._span] if job_id not in self._aside and job_id not in behind)
        self._unknown = tuple(itertools.islice(strange, PAGE))

    def _offered(self) -> list[WaitingJob]:
        if self._offer is None:
            self._offer = []
            number: Counter[Kind] = Counter()
            for job in self._aside.values():
                number[job.kind] += 1
                if number[job.kind] <= OFFERED:
                    self._offer.append(job)
        return self._offer
