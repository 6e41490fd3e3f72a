"""Looks for leases in Redis that nobody serves: Redis came back without the last outcomes that it had accepted.

Without this such a job would count as running for as long as its host lives.
"""

import asyncio
import logging
from collections.abc import Callable

from farm.records import Lease
from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore, Registration
from farm_worker.execution import Execution
from farm_worker.pool.assignment import Assignment

AUDIT_SECONDS = 5.0
"""A lease that is unknown at two audits is: what was under way at the first has arrived by the second."""

_logger = logging.getLogger("farm.audit")


class Audit:
    """Compares the leases of this host with what it knows of."""

    def __init__(self, store: HostStore, who: Callable[[], Registration | None], execution: Execution) -> None:
        self._store = store
        self._who = who
        self._execution = execution
        self._unknown: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(AUDIT_SECONDS)
            who = self._who()
            if who is not None:
                try:
                    self.compare(await self._store.leases(who))
                except REDIS_ERRORS as error:
                    _logger.debug("no audit: %s", error)

    def compare(self, leases: dict[bytes, Lease]) -> None:
        """Makes the host give up what it did not know of at the last audit either."""
        before, self._unknown = self._unknown, self._execution.unknown(lease.token for lease in leases.values())
        stray = [(job_id, lease) for job_id, lease in leases.items() if lease.token in before & self._unknown]
        if stray:
            _logger.warning("Redis lost outcomes that it had accepted; jobs that only seem to run here: %d", len(stray))
            stray.sort(key=lambda item: item[1].sequence)
            self._execution.disown([_assignment(job_id, lease) for job_id, lease in stray])


def _assignment(job_id: bytes, lease: Lease) -> Assignment:
    return Assignment(job_id, lease.token, lease.queue, lease.attempt, lease.on_lost, timeout=None, fields=[])
