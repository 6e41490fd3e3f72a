"""`farm resume`: a drained host takes jobs again."""

from collections.abc import Iterable

import click

from farm.cli.host_fields import silence
from farm.cli.output import print_json
from farm.cli.session import open_session
from farm.errors import FarmError
from farm.host_handle import HostHandle
from farm.store.host_reader import HostDetails

EPILOG = """
\b
Examples:
  farm resume worker-1
"""


@click.command(epilog=EPILOG)
@click.argument("host")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(host: str, redis_url: str | None, as_json: bool) -> None:
    """Have HOST take jobs again after `farm drain HOST`. One that was told to end, does.

    It hears of it with its next beat, within about a second. --json prints host, was_drained and state.

    Exit codes: 0 told, 1 it ends and cannot be resumed, 3 no Redis, 4 no such host.
    """
    with open_session({"redis_url": redis_url}) as session:
        handle = HostHandle(host, session.redis_client, session.settings, session.address.url)
        before = handle.details()
        wanted = before.desired.get("drain")
        if wanted == "exit":
            raise FarmError(f"host {host} was told to end after its jobs and cannot be resumed: start it again instead")
        was_drained = wanted == "stay" or before.host.state == "draining"
        if was_drained:
            handle.resume()
    if as_json:
        print_json({"host": host, "was_drained": was_drained, "state": before.host.state})
    else:
        for line in _said(before, was_drained):
            click.echo(line)


def _said(before: HostDetails, was_drained: bool) -> Iterable[str]:
    host = before.host
    if not was_drained:
        yield f"host {host.name} was not drained: it is {host.state}"
        return
    yield f"host {host.name} was asked to take jobs again"
    if "drain" not in before.desired:
        yield "if it drains because it was told to end (a signal, a limit), it ends all the same"
    yield from silence(host)
