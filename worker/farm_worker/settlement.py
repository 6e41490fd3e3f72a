"""Outcomes that come late: told to Redis for a host that is gone, or counted as refused."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from farm.ending import Ending
from farm.errors import HostFenced
from farm.store.connection import REDIS_ERRORS
from farm.store.execution import ExecutionStore
from farm.store.hosts import HostStore
from farm_worker.outcomes import MAX_BATCH
from farm_worker.spool import LeftSpool, left_spools

_logger = logging.getLogger("farm.host")


async def settle_left(folder: Path | None, execution: ExecutionStore, hosts: HostStore) -> None:
    """Tells Redis what hosts of this machine that are gone could not, under the leases that they had.

    Before this host registers: the registration of a name ends the leases of whoever had it before. Raises redis-py's
    errors; what was not told by then stays for the next host.
    """
    for left in left_spools(folder, MAX_BATCH):
        try:
            await _settle(left, execution, hosts)
        except REDIS_ERRORS:
            left.release()
            raise
        left.remove()


async def count_refused(hosts: HostStore, host: str, endings: Sequence[Ending]) -> None:
    """Outcomes of leases that were taken away: into the counts of their queues, the events, and one line of the log.

    One that Redis had accepted, and whose answer was lost before the host was given up, is among them: the receipt that
    would tell went with the lease. Raises redis-py's errors.
    """
    if not endings:
        return
    ids = ", ".join(ending.job_id.decode(errors="replace") for ending in endings[:10])
    more = ", …" if len(endings) > len(endings[:10]) else ""
    _logger.error(
        "%d outcomes of %s came too late: the jobs had gone back to their queues, or only the answer was lost: %s%s",
        len(endings),
        host,
        ids,
        more,
    )
    await hosts.count_refused(host, Counter(ending.queue for ending in endings), endings[0].job_id)


async def _settle(left: LeftSpool, execution: ExecutionStore, hosts: HostStore) -> None:
    written: Counter[str] = Counter()
    for number, batch in enumerate(left.batches):
        try:
            exchange = await execution.exchange(left.who, batch, None, 0)
        except HostFenced:
            late = [ending for batch in left.batches[number:] for ending in batch.endings]
            await count_refused(hosts, left.who.host, late)
            break
        written.update(exchange.answers)
    if written:
        _logger.warning(
            "told Redis how jobs ended on %s, which is gone: %s",
            left.who.host,
            ", ".join(f"{count} {answer}" for answer, count in written.items()),
        )
