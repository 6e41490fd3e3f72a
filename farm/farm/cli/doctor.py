"""`farm doctor`: checks Redis and the farm in it, and says the remedy for what is wrong."""

import asyncio
import sys
from dataclasses import asdict

import click

from farm.cli import exit_codes
from farm.cli.output import print_json, table
from farm.cli.session import Session, open_session
from farm.coordinator.reconciliation import NEED_A_SECOND_LOOK, SECOND_LOOK_SECONDS
from farm.doctor.deep_look import look_deeply
from farm.doctor.examination import examine
from farm.doctor.finding import Finding
from farm.doctor.leftovers import leftovers
from farm.store.connection import connect_async
from farm.store.inspect import snapshot
from farm.store.reconcile import KINDS, LeftoverReader
from farm.store.server_facts import read_facts
from farm.store.snapshot import FarmSnapshot

EPILOG = """
\b
Examples:
  farm doctor
  farm doctor --deep              look at every job, too; takes a minute and more
  farm doctor --json | jq '.findings[] | select(.state == "error")'

Ends with code 1 if any check found an error. docs/doctor.md tells what each line means.
"""

COLUMNS = ("Check", "State", "Found", "Remedy")


@click.command(epilog=EPILOG)
@click.option("--deep", is_flag=True, help="Look at every job for what nobody answers for. Mends nothing.")
@click.option(
    "--wait",
    metavar="S",
    type=click.FloatRange(min=0),
    default=SECOND_LOOK_SECONDS,
    show_default=True,
    help="With --deep: seconds to the second look; 0 leaves out what needs one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
def command(deep: bool, wait: float, as_json: bool, redis_url: str | None) -> None:
    """Check Redis and the farm in it: settings that lose jobs, keys of wrong types, hosts, coordinator.

    What Redis does not let us see is shown as unknown. Nothing is changed: what --deep finds, the coordinator mends.
    """
    with open_session({"redis_url": redis_url}, needs_version=False) as session:
        lease = session.settings.lease
        client, keys, rq_keys = session.redis_client, session.keys, session.rq_keys
        farm = snapshot(client, keys, rq_keys, lease.suspect_after, lease.host_timeout)
        findings = examine(read_facts(client, keys, rq_keys), farm)
        if deep:
            findings += asyncio.run(_look_deeply(session, farm, wait))
    _show(findings, as_json)
    if any(finding.state == "error" for finding in findings):
        raise click.exceptions.Exit(exit_codes.FAILED)


async def _look_deeply(session: Session, farm: FarmSnapshot, wait: float) -> list[Finding]:
    client = connect_async(session.address.url, name="farm-doctor")
    try:
        reader = LeftoverReader(client, session.keys, session.rq_keys)
        found = await look_deeply(reader, [queue.name for queue in farm.queues], wait, _tell)
    finally:
        await client.aclose()
        _tell("")
    return leftovers(found, [kind for kind in KINDS if kind in NEED_A_SECOND_LOOK] if wait == 0 else [])


def _tell(text: str) -> None:
    """One line that is written over, for people alone."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)


def _show(findings: list[Finding], as_json: bool) -> None:
    if as_json:
        print_json({"findings": [asdict(finding) for finding in findings]})
        return
    rows = [(finding.check, finding.state, finding.found, finding.remedy) for finding in findings]
    table("Doctor", COLUMNS, rows)
