"""The duty that says which jobs fit nowhere now, and why."""

import logging
from collections.abc import Mapping, Sequence

from farm.aside import AsideGroup
from farm.coordinator.aside import Key, groups, key
from farm.coordinator.placer import Placer
from farm.store.aside import AsideStore, Change, Indexed
from farm.store.deferral import INDEX_SIZE
from farm.store.leadership import LeaderScripts
from farm.store.survey import Survey

LOG = logging.getLogger(__name__)

INDEXED_AT_ONCE = 250
"""Ids that come into the index of a queue, or leave it, with one turn."""


Found = dict[Key, tuple[AsideGroup, list[bytes]]]
"""Groups of a queue with the ids of their jobs."""


class AsideRecorder:
    """Keeps the record of jobs aside true, and counts them among the deferred ones of their queue."""

    interval = 1.0

    def __init__(self, store: AsideStore, placer: Placer, suspect_after: float) -> None:
        self._store = store
        self._placer = placer
        self._suspect_after = suspect_after
        self._known: Mapping[str, Sequence[AsideGroup]] | None = None
        self._indexed: dict[str, set[bytes]] = {}

    async def run_once(self, leader: LeaderScripts) -> None:
        """Writes what there is, if there is or was anything. Raises NotLeader and redis-py's errors."""
        survey = await self._placer.next_look()
        if self._known is None:  # what the leader before had written
            self._known = await self._store.read()
        found = self._found(survey, self._known)
        if not found and not self._known and not any(self._indexed.values()):
            return
        record = {queue: [group for group, _ in of_queue.values()] for queue, of_queue in found.items()}
        changes = _changes(self._known, record, survey.now)
        indexed = self._index(found)
        await self._store.write(leader, record, changes, indexed)
        for queue, index in indexed.items():
            self._indexed.setdefault(queue, set()).update(job_id for job_id, _ in index.add)
            self._indexed[queue].difference_update(index.remove)
        self._known = record
        for change in changes:
            _tell(change)

    def index_anew(self, queue: str) -> None:
        """The index of the queue was deleted."""
        self._indexed.pop(queue, None)

    def _found(self, survey: Survey, before: Mapping[str, Sequence[AsideGroup]]) -> dict[str, Found]:
        """By queue, where there is anything."""
        fronts, live = self._placer.dealing.fronts, survey.live_hosts(self._suspect_after)
        found = {}
        for queue in fronts.queues:
            hosts = [host for host in live if queue in host.queues]
            aside = fronts.aside(queue)
            if not hosts or not aside:
                continue
            known = {key(group): group for group in before.get(queue, ())}
            of_queue = groups(aside, hosts, fronts.needs(queue), known, survey.now)
            if of_queue:
                found[queue] = of_queue
        return found

    def _index(self, found: Mapping[str, Found]) -> dict[str, Indexed]:
        """What changes in the indexes of deferred jobs: a bounded number for each queue."""
        changes = {}
        for queue in found.keys() | self._indexed.keys():
            of_queue, before = found.get(queue, {}), self._indexed.get(queue, set())
            deferred = {job_id: group.since for group, ids in of_queue.values() for job_id in ids}
            add = [(job_id, since) for job_id, since in deferred.items() if job_id not in before]
            remove = [job_id for job_id in before if job_id not in deferred][:INDEXED_AT_ONCE]
            add = add[: min(INDEXED_AT_ONCE, INDEX_SIZE - len(before))]
            if add or remove:
                changes[queue] = Indexed(add, remove)
        return changes


def _changes(
    before: Mapping[str, Sequence[AsideGroup]], after: Mapping[str, Sequence[AsideGroup]], now: float
) -> list[Change]:
    changes = []
    for queue in before.keys() | after.keys():
        old = {key(group): group for group in before.get(queue, ())}
        new = {key(group): group for group in after.get(queue, ())}
        changes += [Change("deferral.began", queue, group) for known, group in new.items() if known not in old]
        changes += [
            Change("deferral.ended", queue, group, now - group.since)
            for known, group in old.items()
            if known not in new
        ]
    return changes


def _tell(change: Change) -> None:
    group = change.group
    what = group.needs or "were declined"
    if change.event == "deferral.began":
        LOG.warning("jobs of queue %s (%s) are deferred: %s; jobs: %d", change.queue, what, group.reason, group.count)
    else:
        LOG.info("jobs of queue %s (%s) are not deferred any more", change.queue, what)
