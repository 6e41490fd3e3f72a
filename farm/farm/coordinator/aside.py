"""Why jobs fit nowhere now, in groups by what they need. Pure: values in, values out."""

from collections.abc import Iterable, Mapping, Sequence

from farm.aside import AsideGroup
from farm.coordinator.deferral import REFUSING_STATES
from farm.coordinator.needs import Needs
from farm.coordinator.offers import is_declined
from farm.coordinator.waiting import MEGABYTE, Kind, WaitingJob
from farm.store.survey import HostView

Key = tuple[tuple[str, ...], int, bool]


def kinds(jobs: Iterable[WaitingJob]) -> dict[Kind, list[WaitingJob]]:
    """The jobs by what they need, each kind in the order in which its jobs stand."""
    found: dict[Kind, list[WaitingJob]] = {}
    for job in jobs:
        found.setdefault(job.kind, []).append(job)
    return found


def why_aside(job: WaitingJob, hosts: Sequence[HostView]) -> str | None:
    """The reason; None if a host fits that only has no room at this moment. `hosts`: live ones that serve its queue."""
    able = [host for host in hosts if job.requires <= host.labels]
    wanted = _labels(job.requires)
    if not able:
        return f"no host has {wanted}"
    with_labels = f" with {wanted}" if wanted else ""
    willing = [host for host in able if not is_declined(job, host)]
    if not willing:
        return f"every host{with_labels} declined"
    but_those = " that did not decline" if len(willing) < len(able) else ""
    if job.memory and all((host.memory_left or 0) < job.memory for host in willing):  # one that does not tell has none
        most = max(host.memory_left or 0 for host in willing) // MEGABYTE
        return f"no host{with_labels}{but_those} has {job.memory_mb} MB left: {most} MB is the most"
    states = {host.state for host in willing}
    if not states.issubset(REFUSING_STATES):
        return None
    shown = " or ".join(state for state in REFUSING_STATES if state in states)
    return f"every host{with_labels}{but_those} is {shown}"


def groups(
    jobs: Iterable[WaitingJob],
    hosts: Sequence[HostView],
    of_queue: Needs,
    before: Mapping[Key, AsideGroup],
    now: float,
) -> dict[Key, tuple[AsideGroup, list[bytes]]]:
    """Those of a queue's jobs aside that are deferred, with their ids.

    `before`: groups known by then; `now`: Unix seconds.
    """
    found: dict[Key, tuple[AsideGroup, list[bytes]]] = {}
    for (requires, memory_mb, declined_by), members in kinds(jobs).items():
        reason = why_aside(members[0], hosts)
        if reason is None:
            continue
        known = (tuple(sorted(requires)), memory_mb, bool(declined_by))
        is_of_queue = bool(of_queue) and (requires, memory_mb) == (of_queue.requires, of_queue.memory_mb)
        since = before[known].since if known in before else now
        ids = [*(found[known][1] if known in found else ()), *(job.job_id for job in members)]
        found[known] = AsideGroup(*known, is_of_queue, since, reason, len(ids)), ids
    return found


def key(group: AsideGroup) -> Key:
    """What tells one group of a queue from the others."""
    return group.requires, group.memory_mb, group.declined


def _labels(requires: frozenset[str]) -> str:
    if not requires:
        return ""
    return ("the label " if len(requires) == 1 else "the labels ") + " and ".join(sorted(requires))
