"""How jobs ended, on its way to Redis: in batches, each under one name until Redis answered."""

from collections import deque
from collections.abc import Iterator
from itertools import chain

from farm.ending import Ending
from farm.store.execution import FinishBatch, new_batch_name
from farm.store.hosts import Registration
from farm_worker.spool import Spool

MAX_BATCH = 100
"""Outcomes in one exchange at most: keeps the script under some milliseconds."""

FULL_BATCH_BYTES = 16 << 20
"""A batch with so much in it takes no further outcome: all of it is one value, and Redis takes none over 512 MB."""


class Outcomes:
    """The endings that Redis has not answered for."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._waiting: deque[Ending] = deque()
        self._batch: FinishBatch | None = None
        self._batches = 0
        self._is_spooled = False

    def __len__(self) -> int:
        return len(self._waiting) + (len(self._batch.endings) if self._batch else 0)

    def tokens(self) -> Iterator[str]:
        """Of the leases that these will end."""
        return (ending.token for ending in chain(self._batch.endings if self._batch else (), self._waiting))

    def add(self, *endings: Ending) -> None:
        """To be written."""
        self._waiting.extend(endings)

    def next_batch(self) -> FinishBatch | None:
        """What to send: the same until it is answered. None if there is nothing."""
        if self._batch is None and self._waiting:
            self._batches += 1
            self._batch = FinishBatch(self._batches, new_batch_name(), self._take())
        return self._batch

    def answered(self) -> None:
        """Redis accepted or refused each ending of the batch."""
        self._batch = None
        if self._is_spooled and not self._waiting:
            self._spool.clear()
            self._is_spooled = False

    def keep(self, who: Registration) -> None:
        """Redis can't be told now: writes all to the spool, so that the end of this host does not lose it."""
        if self:
            self._is_spooled = True
            self._spool.keep(who, self._batch, self._waiting)

    def give_up(self) -> list[Ending]:
        """What Redis will not hear of any more, of a lease that is gone. Nothing is left here."""
        refused = [*(self._batch.endings if self._batch else ()), *self._waiting]
        self._waiting.clear()
        self._batch = None
        self._spool.clear()
        self._is_spooled = False
        return refused

    def _take(self) -> list[Ending]:
        taken: list[Ending] = []
        size = 0
        while self._waiting and len(taken) < MAX_BATCH and size < FULL_BATCH_BYTES:
            ending = self._waiting.popleft()
            size += len(ending.packed)
            taken.append(ending)
        return taken
