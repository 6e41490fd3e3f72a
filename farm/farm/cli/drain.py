"""`farm drain`: a host takes no more jobs, lets the running ones end, and stays; or ends."""

from typing import Any

import click

from farm.cli import exit_codes
from farm.cli.host import JOB_COLUMNS, job_rows
from farm.cli.host_fields import silence
from farm.cli.output import print_json, table
from farm.cli.session import open_session
from farm.errors import HostNotFound
from farm.host_handle import HostHandle
from farm.store.host_reader import HostDetails

EPILOG = """
\b
Examples:
  farm drain worker-1                      it stays, until `farm resume worker-1`
  farm drain worker-1 --wait 600           and wait until nothing runs there
  farm drain worker-1 --exit --wait 600    and wait until it has ended
"""

_TOLD = ("job_id", "function", "queue", "attempt", "job_seconds")


@click.command(epilog=EPILOG)
@click.argument("host")
@click.option("--exit", "then_exit", is_flag=True, help="Have it end after its jobs, as on SIGTERM.")
@click.option("--wait", type=click.FloatRange(0, 1e9), metavar="SECONDS", help="Wait so long for its jobs to end.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(host: str, then_exit: bool, wait: float | None, redis_url: str | None, as_json: bool) -> None:
    """Have HOST take no more jobs: what it did not begin goes back to its queues at once, running jobs end.

    It hears of it with its next beat, within about a second. It stays, shown as draining, until `farm resume HOST`; one
    that is started again under its name within a minute of its last beat stays drained, too. With --exit it ends.

    --json prints host, drain (stay or exit), drained (nothing runs there; with --exit: it has left), state, inbox (jobs
    not begun), and running: a list of job_id, function, queue, attempt, job_seconds.

    Exit codes: 0 told (with --wait: drained), 3 no Redis, 4 no such host, 5 jobs still run when --wait is over.
    """
    with open_session({"redis_url": redis_url}) as session:
        handle = HostHandle(host, session.redis_client, session.settings, session.address.url)
        handle.drain(then_exit=then_exit)
        drained = wait is not None and handle.wait_until_drained(wait, then_exit=then_exit)
        details = _details(handle)
    if as_json:
        print_json(_as_json(host, then_exit, drained, details))
    elif drained:
        click.echo(f"host {host} has left" if details is None else f"host {host} is drained: nothing runs there")
    elif details is not None:
        _tell(details, then_exit)
    if wait is not None and not drained:
        count = details.host.running if details is not None else 0
        click.echo(f"Error: {_left(host, wait, count)}", err=True)
        raise click.exceptions.Exit(exit_codes.TIMEOUT)


def _details(handle: HostHandle) -> HostDetails | None:
    try:
        return handle.details()
    except HostNotFound:
        return None


def _tell(details: HostDetails, then_exit: bool) -> None:
    host = details.host
    ends = "and ends after its jobs" if then_exit else f"until `farm resume {host.name}`"
    click.echo(f"host {host.name} was asked to drain: it takes nothing new {ends}")
    for line in silence(host):
        click.echo(line)
    running = [*job_rows(details.processes)]
    if running:
        click.echo()
        table("Still running", JOB_COLUMNS, running)


def _left(host: str, seconds: float, running: int) -> str:
    waited = f"after {seconds:g} s"
    if running == 0:
        return f"host {host} did not drain {waited}, though nothing runs there: look at it with `farm host {host}`"
    jobs = "1 job still runs" if running == 1 else f"{running} jobs still run"
    return f"{waited} {jobs} on host {host}: wait longer, or end them with `farm cancel --stop ID`"


def _as_json(host: str, then_exit: bool, drained: bool, details: HostDetails | None) -> dict[str, Any]:
    processes = () if details is None else details.processes
    return {
        "host": host,
        "drain": "exit" if then_exit else "stay",
        "drained": drained,
        "state": None if details is None else details.host.state,
        "inbox": 0 if details is None else details.host.inbox,
        "running": [{name: getattr(job, name) for name in _TOLD} for each in processes for job in each.running],
    }
