"""Whether jobs are placed and run. Pure: a snapshot in, findings out."""

from farm.doctor.finding import Finding
from farm.store.snapshot import FarmSnapshot, HostView


def coordinator(farm: FarmSnapshot) -> Finding:
    """Without a leader nothing is placed."""
    if farm.leader is not None:
        return Finding("coordinator", "ok", f"{farm.leader.name} leads (epoch {farm.leader.epoch})")
    if farm.live_hosts:
        return Finding(
            "coordinator",
            "error",
            f"none leads, so nothing is placed; live hosts: {len(farm.live_hosts)}",
            "a host starts one within seconds, unless told --no-standby-coordinator: farm coordinator",
        )
    return Finding("coordinator", "warning", "none leads, and no host is live", "farm worker starts both")


def hosts(farm: FarmSnapshot) -> Finding:
    """Hosts that are there and do not work."""
    if farm.suspended:
        return Finding("hosts", "warning", "RQ is suspended, so nothing is started", "rq resume")
    lost = [host.name for host in farm.hosts if host.standing == "lost"]
    silent = [host.name for host in farm.hosts if host.standing == "suspect"]
    unhealthy = [f"{host.name}: {host.reason}" for host in farm.live_hosts if host.state == "unhealthy"]
    if lost:
        return Finding(
            "hosts", "error", f"no beat, and not given up: {', '.join(lost)}", "a coordinator gives them up: start one"
        )
    if unhealthy:
        return Finding("hosts", "error", f"unhealthy: {'; '.join(unhealthy)}", "farm host NAME tells more")
    if silent:
        return Finding("hosts", "warning", f"silent for some seconds: {', '.join(silent)}", "look at those machines")
    if not farm.hosts:
        return Finding("hosts", "warning", "none", "farm worker starts one")
    return Finding("hosts", "ok", f"live: {len(farm.live_hosts)}")


def versions(farm: FarmSnapshot) -> Finding:
    """Hosts of several versions work together, but not for long."""
    found: dict[str, list[str]] = {}
    for host in farm.live_hosts:
        found.setdefault(_version(host), []).append(host.name)
    if len(found) <= 1:
        return Finding("versions", "ok", f"all hosts have {next(iter(found))}" if found else "no live host")
    spread = "; ".join(f"{version}: {', '.join(sorted(names))}" for version, names in sorted(found.items()))
    return Finding("versions", "warning", spread, "finish the roll-out")


def unserved_queues(farm: FarmSnapshot) -> Finding:
    """Jobs that nobody listens to."""
    waiting = [queue for queue in farm.unserved if not queue.other_workers]
    if not waiting:
        return Finding("queues without host", "ok", "none with waiting jobs")
    listed = ", ".join(f"{queue.name} ({queue.queued} waiting)" for queue in waiting)
    return Finding("queues without host", "warning", listed, f"farm worker {' '.join(queue.name for queue in waiting)}")


def deferred_queues(farm: FarmSnapshot) -> Finding:
    """Jobs that wait as every host is at its threshold."""
    deferred = [queue for queue in farm.queues if queue.deferral is not None and queue.hosts]
    if not deferred:
        return Finding("deferred queues", "ok", "none")
    listed = ", ".join(f"{queue.name} ({queue.deferred} jobs)" for queue in deferred)
    return Finding("deferred queues", "warning", listed, "farm status tells why; more hosts, or a higher threshold")


def recovery(farm: FarmSnapshot) -> Finding:
    """Lost hosts whose jobs are still to be given back."""
    if not farm.recovering:
        return Finding("recovery", "ok", "no lost host holds jobs")
    return Finding(
        "recovery",
        "warning",
        f"lost hosts whose jobs are being given back: {farm.recovering}",
        "a coordinator does that",
    )


def _version(host: HostView) -> str:
    return host.fields.get("version") or "unknown version"
