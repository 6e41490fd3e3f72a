"""`farm status`: hosts, queues and what waits for what; with `--check`, an exit code for health checks."""

import time
from dataclasses import asdict

import click

from farm.cli import exit_codes
from farm.cli.findings import UNHEALTHY, clock_time, duration, findings, standstills
from farm.cli.host_fields import host_as_json, labels_of, memory_share
from farm.cli.output import print_json, table
from farm.cli.session import Session, open_session
from farm.store.inspect import snapshot
from farm.store.snapshot import FarmSnapshot, HostView, QueueView

REFRESH_SECONDS = 1.0

HOST_COLUMNS = ("host", "state", "load", "busy", "memory", "queues", "why")
QUEUE_COLUMNS = ("queue", "queued", "deferred", "dependent", "scheduled", "running", "finished", "failed")

EPILOG = """
\b
Examples:
  farm status
  farm status --watch
  farm status --json | jq '.queues[] | {name, queued, deferred}'
  farm status --check --coordinator     exit code 1 unless a coordinator leads
  farm status --check --host worker-1   exit code 1 unless that host is alive and well
"""


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--watch", is_flag=True, help="Show it again each second, until interrupted.")
@click.option("--check", is_flag=True, help="Print only what is wrong, and exit with 1 if anything is.")
@click.option("--host", metavar="NAME", help="With --check: only this host counts.")
@click.option("--coordinator", is_flag=True, help="With --check: only the coordinator counts.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
def command(
    as_json: bool, watch: bool, check: bool, host: str | None, coordinator: bool, redis_url: str | None
) -> None:
    """Show hosts, queues and what waits for what.

    load is shown as load/threshold, busy as busy processes/slots, with jobs placed and not begun after a plus sign, and
    with the jobs that run where these are more: coroutine jobs may run side by side.
    deferred: how many of the queued ones wait because every host is full, or because none has what they need, and for
    how long. dependent: those that wait for other jobs (RQ calls them deferred).

    --check asks for a live host and a leading coordinator. Exit codes: 0 well, 1 not, 3 no Redis.
    """
    if (host or coordinator) and not check:
        raise click.UsageError("--host and --coordinator go with --check.")
    if check and (watch or as_json):
        raise click.UsageError("--check stands alone: its answer is the exit code.")
    with open_session({"redis_url": redis_url}) as session:
        if check:
            _check(_read(session), host, coordinator)
        elif watch:
            _watch(session, as_json)
        else:
            _show(_read(session), as_json)


def _read(session: Session) -> FarmSnapshot:
    lease = session.settings.lease
    return snapshot(session.redis_client, session.keys, session.rq_keys, lease.suspect_after, lease.host_timeout)


def _check(farm: FarmSnapshot, host: str | None, coordinator: bool) -> None:
    problems = []
    if host:
        problems += _problems_of_host(farm, host)
    if coordinator and farm.leader is None:
        problems.append("no coordinator leads")
    if not host and not coordinator and (not farm.live_hosts or farm.leader is None):
        problems += standstills(farm)
    for problem in problems:
        click.echo(problem)
    if problems:
        raise click.exceptions.Exit(exit_codes.FAILED)


def _problems_of_host(farm: FarmSnapshot, name: str) -> list[str]:
    found = next((host for host in farm.hosts if host.name == name), None)
    if found is None:
        return [f"host {name} is not registered"]
    if found.standing != "live":
        return [f"host {name} is {found.standing}: {found.reason}"]
    if found.state == UNHEALTHY:
        return [f"host {name} is unhealthy: {found.reason}"]
    return []


def _watch(session: Session, as_json: bool) -> None:
    try:
        while True:
            farm = _read(session)
            click.clear()  # does nothing in a pipe
            _show(farm, as_json)
            time.sleep(REFRESH_SECONDS)
    except KeyboardInterrupt:
        click.echo()


def _show(farm: FarmSnapshot, as_json: bool) -> None:
    if as_json:
        print_json(_as_json(farm))
        return
    _show_hosts(farm)
    click.echo()
    table("Queues", QUEUE_COLUMNS, (_queue_row(queue, farm.at) for queue in farm.queues))
    click.echo()
    if farm.leader is not None:
        click.echo(f"coordinator: {farm.leader.name} (epoch {farm.leader.epoch})")
    for line in findings(farm):
        click.echo(line)


def _show_hosts(farm: FarmSnapshot) -> None:
    """Labels only where a host has some."""
    labels = [", ".join(labels_of(host)) for host in farm.hosts]
    rows = [*map(_host_row, farm.hosts)]
    if not any(labels):
        table("Hosts", HOST_COLUMNS, rows)
        return
    columns = (*HOST_COLUMNS[:-1], "labels", HOST_COLUMNS[-1])
    table("Hosts", columns, [(*row[:-1], shown, row[-1]) for row, shown in zip(rows, labels, strict=True)])


def _host_row(host: HostView) -> tuple[str, ...]:
    state = host.state if host.standing == "live" else host.standing
    busy = f"{_whole(host.number('busy'))}/{_whole(host.number('slots'))}" + (f" +{host.inbox}" if host.inbox else "")
    jobs = host.number("jobs") or 0
    if jobs > (host.number("busy") or 0):
        busy += f", {_whole(jobs)} jobs"
    load = f"{_decimal(host.number('load'))}/{_decimal(host.number('threshold'))}"
    return host.name, state, load, busy, memory_share(host), ", ".join(host.queues), host.reason


def _queue_row(queue: QueueView, now: float) -> tuple[object, ...]:
    deferred: object = queue.deferred
    if queue.deferral is not None and queue.deferral.since is not None:
        deferred = f"{queue.deferred}, {duration(now - queue.deferral.since, units=1)}"
    elif queue.aside:
        deferred = f"{queue.deferred}, {duration(now - min(group.since for group in queue.aside), units=1)}"
    numbers = (queue.queued, deferred, queue.dependent, queue.scheduled, queue.running, queue.finished, queue.failed)
    return queue.name, *("?" if number is None else number for number in numbers)


def _whole(number: float | None) -> str:
    return "-" if number is None else f"{number:.0f}"


def _decimal(number: float | None) -> str:
    return "-" if number is None else f"{number:.2f}"


def _as_json(farm: FarmSnapshot) -> dict[str, object]:
    leader = None if farm.leader is None else {"name": farm.leader.name, "epoch": farm.leader.epoch}
    return {
        "at": clock_time(farm.at),
        "coordinator": leader,
        "suspended": farm.suspended,
        "hosts": [host_as_json(host) for host in farm.hosts],
        "queues": [_queue_as_json(queue) for queue in farm.queues],
        "unserved": [queue.name for queue in farm.unserved],
        "quarantined": farm.quarantined,
        "recovering": farm.recovering,
        "findings": findings(farm),
    }


def _queue_as_json(queue: QueueView) -> dict[str, object]:
    deferral = queue.deferral
    return {
        "name": queue.name,
        "queued": queue.queued,
        "deferred": queue.deferred,
        "deferred_since": clock_time(deferral.since) if deferral and deferral.since is not None else None,
        "deferred_reason": deferral.reason if deferral else None,
        "aside": [asdict(group) | {"since": clock_time(group.since)} for group in queue.aside],
        "dependent": queue.dependent,
        "scheduled": queue.scheduled,
        "running": queue.running,
        "finished": queue.finished,
        "failed": queue.failed,
        "counts": dict(queue.counts),
        "hosts": queue.hosts,
        "other_workers": queue.other_workers,
        "unreadable": queue.unreadable,
    }
