"""`farm host`: one host, its processes and its runners; and how many processes it keeps warm."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

import click

from farm.cli.amounts import BYTES_PER_MB
from farm.cli.findings import duration
from farm.cli.host_fields import host_as_json, memory_share, silence
from farm.cli.host_load import LOAD_COLUMNS, load_rows
from farm.cli.output import print_json, table
from farm.cli.session import open_session
from farm.store.host_reader import HostDetails, HostReader
from farm.store.process_view import ProcessView, RunnerView
from farm.store.snapshot import HostView

PROCESS_COLUMNS = ("process", "pid", "state", "age", "jobs done", "memory", "peak")
RUNNER_COLUMNS = ("runner", "copy", "pid", "state", "memory", "restarts")
JOB_COLUMNS = ("process", "job", "function", "queue", "attempt", "runs for", "progress")


EPILOG = """
\b
Examples:
  farm host worker-1
  farm host worker-1 --json | jq '.processes[] | {pid, state, job_id}'
  farm host worker-1 --idle-processes 4
"""


@click.command(epilog=EPILOG)
@click.argument("name")
@click.option(
    "--idle-processes", type=click.IntRange(min=0), metavar="N", help="Have it keep N idle processes warm from now on."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
def command(name: str, idle_processes: int | None, as_json: bool, redis_url: str | None) -> None:
    """Show one host, its processes and its runners, or say how many processes it is to keep warm.

    The host hears of it with its next beat, within about a second. The number of idle processes holds until it ends:
    started anew it does as its settings say. `farm drain` has it take no more jobs.

    Exit codes: 0 shown or said, 3 no Redis, 4 no such host.
    """
    with open_session({"redis_url": redis_url}) as session:
        lease = session.settings.lease
        reader = HostReader(session.redis_client, session.keys, lease.suspect_after, lease.host_timeout)
        if idle_processes is not None:
            reader.desire(name, {"idle_processes": idle_processes})
        details = reader.details(name)
    if as_json:
        print_json(_as_json(details))
    elif idle_processes is not None:
        for line in _said(details, idle_processes):
            click.echo(line)
    else:
        _show(details)


def _show(details: HostDetails) -> None:
    rows = [(field, value) for field, value in _host_rows(details) if value not in ("", "-")]
    table(f"Host {details.host.name}", ("field", "value"), rows)
    measured = [*load_rows(details.host)]
    if measured:
        click.echo()
        table("Load", LOAD_COLUMNS, measured)
    click.echo()
    table("Processes", PROCESS_COLUMNS, map(_process_row, details.processes))
    if details.runners:
        click.echo()
        table("Runners", RUNNER_COLUMNS, map(_runner_row, details.runners))
    running = [*job_rows(details.processes)]
    if running:
        click.echo()
        table("Jobs", JOB_COLUMNS, running)


def _host_rows(details: HostDetails) -> Iterable[tuple[str, str]]:
    host = details.host
    published = host.fields.get
    yield "state", host.state if host.standing == "live" else f"{host.standing}, said {host.state} last"
    yield "reason", host.reason
    yield "load", _decimal(host, "load")
    yield "threshold", _decimal(host, "threshold")
    yield "cpu", f"{_decimal(host, 'cpu')} of {published('cpu_count', '-')} CPUs"
    yield "memory", memory_share(host)
    yield "slots", f"{published('slots', '-')}, {published('busy', '-')} busy, {published('idle', '-')} idle"
    yield "idle processes", published("idle_processes", "-")
    yield "wanted", ", ".join(f"{name}={value}" for name, value in sorted(details.desired.items()))
    yield "inbox", str(host.inbox or "")
    yield "queues", ", ".join(host.queues)
    yield "labels", published("labels", "")
    yield "pid", f"{published('pid', '-')} on {published('hostname', '-')}"
    yield "started at", published("started_at", "-")
    yield "beat", f"{host.beat_age:.1f} s ago"


def _decimal(host: HostView, name: str) -> str:
    number = host.number(name)
    return "-" if number is None else f"{number:.2f}"


def _process_row(process: ProcessView) -> tuple[object, ...]:
    return (
        process.number,
        process.pid,
        process.state,
        duration(process.age),
        process.jobs_done,
        _megabytes(process.memory),
        _megabytes(process.peak_memory),
    )


def _runner_row(runner: RunnerView) -> tuple[object, ...]:
    return (runner.runner, runner.copy, runner.pid, runner.state, _megabytes(runner.memory), runner.restarts)


def _megabytes(memory: int | None) -> str | None:
    return None if memory is None else f"{memory / BYTES_PER_MB:.0f} MB"


def job_rows(processes: Iterable[ProcessView]) -> Iterator[tuple[object, ...]]:
    """Rows under JOB_COLUMNS, for all jobs that run."""
    for process in processes:
        for job in process.running:
            seconds = None if job.job_seconds is None else duration(job.job_seconds)
            yield process.number, job.job_id, job.function, job.queue, job.attempt, seconds, job.progress
        if process.unlisted:
            yield process.number, f"and {process.unlisted} more", *[None] * (len(JOB_COLUMNS) - 2)


def _said(details: HostDetails, idle_processes: int) -> Iterable[str]:
    name, slots = details.host.name, details.host.number("slots")
    limit = f", but no more than its {slots:.0f} slots" if slots is not None and idle_processes > slots else ""
    processes = "1 idle process" if idle_processes == 1 else f"{idle_processes} idle processes"
    yield f"host {name} was asked to keep {processes} warm{limit}"
    yield from silence(details.host)


def _as_json(details: HostDetails) -> dict[str, object]:
    return {
        **host_as_json(details.host),
        "desired": dict(details.desired),
        "processes": [asdict(process) for process in details.processes],
        "runners": [asdict(runner) for runner in details.runners],
    }
