"""What somebody should know about a farm, as sentences. Pure: a snapshot in, lines out."""

from datetime import UTC, datetime

from farm.aside import MOST_ASIDE, AsideGroup
from farm.store.snapshot import Deferral, FarmSnapshot, HostView, QueueView

UNHEALTHY = "unhealthy"
STARVED = "full with nothing running"
"""How the reason of a host begins that has been full and empty for a while."""


def findings(farm: FarmSnapshot) -> list[str]:
    """Everything out of the ordinary, the most important first. Empty if there is nothing to say."""
    return [
        *standstills(farm),
        *(_unserved(queue) for queue in farm.unserved if farm.live_hosts),
        *(_deferred(queue, queue.deferral, farm.at) for queue in farm.queues if queue.deferral and queue.hosts),
        *(_aside(queue, group, farm.at) for queue in farm.queues for group in queue.aside),
        *(line for host in farm.hosts if (line := _host(host))),
        *_leftovers(farm),
    ]


def standstills(farm: FarmSnapshot) -> list[str]:
    """Why nothing at all can go on. Empty while jobs can be placed."""
    lines = []
    if not farm.live_hosts:
        waiting = sum(queue.queued or 0 for queue in farm.queues)
        lines.append(f"no live host ({_jobs_wait(waiting)}): start one with `farm worker`")
    if farm.leader is None:
        lines.append(
            "no coordinator leads, so nothing is placed: a host starts one within seconds, or `farm coordinator`"
        )
    if farm.suspended:
        lines.append("RQ is suspended, so nothing is started: `rq resume` goes on")
    return lines


def duration(seconds: float, units: int = 2) -> str:
    """A length of time in its greatest units: `3m 20s`."""
    whole = max(int(seconds), 0)
    parts = (("d", whole // 86400), ("h", whole // 3600 % 24), ("m", whole // 60 % 60), ("s", whole % 60))
    first = next((number for number, (_, count) in enumerate(parts) if count), len(parts) - 1)
    return " ".join(f"{count}{unit}" for unit, count in parts[first : first + units] if count) or "0s"


def clock_time(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unserved(queue: QueueView) -> str:
    others = ""
    if queue.other_workers:
        others = (
            "; one `rq worker` listens" if queue.other_workers == 1 else f"; {queue.other_workers} `rq worker` listen"
        )
    return (
        f"no host serves queue {queue.name} ({_jobs_wait(queue.queued or 0)}{others}): `farm worker {queue.name}` does"
    )


def _deferred(queue: QueueView, deferral: Deferral, now: float) -> str:
    since = "" if deferral.since is None else f" since {clock_time(deferral.since)} ({duration(now - deferral.since)})"
    reason = f" because {deferral.reason}" if deferral.reason else ""
    hosts = f" ({deferral.hosts.replace(',', ', ')})" if deferral.hosts else ""
    return f"queue {queue.name} is deferred{since}{reason}{hosts}: {_jobs_wait(queue.queued or 0)}"


def _aside(queue: QueueView, group: AsideGroup, now: float) -> str:
    jobs = "1 job" if group.count == 1 else f"{group.count} jobs"
    needs = f" ({group.needs})" if group.needs else ""
    since = f"since {clock_time(group.since)} ({duration(now - group.since)})"
    at_most = ""
    if sum(each.count for each in queue.aside) >= MOST_ASIDE:
        at_most = f"; no more than {MOST_ASIDE} are passed over, so those behind them wait, too"
    return f"{jobs} of queue {queue.name}{needs} deferred {since} because {group.reason}{at_most}"


def _host(host: HostView) -> str:
    if host.standing == "lost":
        return f"host {host.name} is lost: {host.reason}"
    if host.standing == "suspect":
        return f"host {host.name} is silent, nothing new is placed there: {host.reason}"
    if host.state == UNHEALTHY:
        return f"host {host.name} is unhealthy: {host.reason}"
    if host.state == "full" and host.reason.startswith(STARVED):
        return f"host {host.name} is {host.reason}"
    return ""


def _leftovers(farm: FarmSnapshot) -> list[str]:
    lines = [f"{key} is no key of RQ's type, so it is not counted" for queue in farm.queues for key in queue.unreadable]
    if farm.recovering:
        lines.append(f"jobs of {farm.recovering} lost {_plural('host', farm.recovering)} are being given back")
    if farm.quarantined:
        lines.append(f"{farm.quarantined} {_plural('job', farm.quarantined)} in quarantine: the record cannot be read")
    if farm.truncated:
        lines.append("there is more than is shown here")
    return lines


def _jobs_wait(count: int) -> str:
    return "1 job waits" if count == 1 else f"{count} jobs wait"


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"
