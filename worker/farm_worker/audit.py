"""Compares what this host runs with what Redis says: they differ when Redis came back without its last writes.

A lease that nobody serves here: Redis lost the outcome. Without this such a job would count as running for as long as
its host lives. A job that runs without a lease: Redis lost its start. It is taken again where it still waits, else it
ends.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping

from farm.errors import HostFenced
from farm.packed import pack
from farm.records import Lease
from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import HostStore, Registration
from farm_worker.execution import Execution
from farm_worker.pool.assignment import Assignment

AUDIT_SECONDS = 5.0
"""A difference that is there at two audits is one: what was under way at the first has arrived by the second."""

RETRY_SECONDS = 1.0
"""After Redis could not be asked: that is when differences come about."""

_logger = logging.getLogger("farm.audit")


class Audit:
    """Settles differences between the leases in Redis and the jobs that run here."""

    def __init__(self, store: HostStore, who: Callable[[], Registration | None], execution: Execution) -> None:
        self._store = store
        self._who = who
        self._execution = execution
        self._unknown: set[str] = set()
        self._unlisted: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = AUDIT_SECONDS
        while True:
            await asyncio.sleep(pause)
            await self._execution.contact.wait()
            pause = AUDIT_SECONDS
            who = self._who()
            if who is None:
                continue
            try:
                leases = await self._store.leases(who)
                self.disown_unknown(leases)
                await self.retake_unlisted(who, leases)
            except HostFenced as error:
                _logger.debug("no audit: %s", error)  # the next beat says so too
            except REDIS_ERRORS as error:
                _logger.debug("no audit: %s", error)
                pause = RETRY_SECONDS

    async def retake_unlisted(self, who: Registration, leases: Mapping[bytes, Lease]) -> None:
        """Takes leases again for jobs that run here and had none at the last audit either, or ends them.

        Raises HostFenced and redis-py's errors.
        """
        served, listed = self._execution.leases.served(), {lease.token for lease in leases.values()}
        before, self._unlisted = self._unlisted, served.keys() - listed
        missing = [served[token] for token in before & self._unlisted]
        if not missing:
            return
        wanted = {one.job_id: _lease(one) for one in missing}
        held = await self._store.retake(who, wanted)
        _logger.warning(
            "Redis lost the start of %d jobs that run here: %d go on, the others are not this host's any more and end",
            len(missing),
            sum(held.values()),
        )
        for one in missing:
            if not held[one.job_id] or wanted[one.job_id].token != one.token:
                self._execution.leases.drop(one.token)

    def disown_unknown(self, leases: Mapping[bytes, Lease]) -> None:
        """Makes the host give up what it did not know of at the last audit either."""
        before, self._unknown = self._unknown, self._execution.leases.unknown(lease.token for lease in leases.values())
        stray = [(job_id, lease) for job_id, lease in leases.items() if lease.token in before & self._unknown]
        if stray:
            _logger.warning("Redis lost outcomes that it had accepted; jobs that only seem to run here: %d", len(stray))
            stray.sort(key=lambda item: item[1].sequence)
            self._execution.leases.disown([_assignment(job_id, lease) for job_id, lease in stray])


def _assignment(job_id: bytes, lease: Lease) -> Assignment:
    return Assignment(job_id, lease.token, lease.queue, lease.attempt, lease.on_lost, timeout=None, packed=pack([]))


def _lease(assignment: Assignment) -> Lease:
    """As it was, but first in the order of starting: it began before all that Redis knows of."""
    return Lease(assignment.token, assignment.queue, assignment.attempt, int(time.time()), assignment.on_lost, 0)
