"""`farm events`: the rare things that happened in the farm, oldest first."""

import json
from collections.abc import Iterable

import click

from farm.cli.session import open_session
from farm.store.event_log import Event, EventLog

EPILOG = """
\b
Examples:
  farm events
  farm events --last 100 --json | jq 'select(.event == "host.lost")'
  farm events --follow
"""


@click.command(epilog=EPILOG)
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens, until interrupted.")
@click.option(
    "--last", metavar="N", type=click.IntRange(min=0), default=20, show_default=True, help="How many to show."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
def command(follow: bool, last: int, as_json: bool, redis_url: str | None) -> None:
    """Show what happened: hosts joined and lost, deferral began and ended, jobs recovered, processes killed and why.

    About 10,000 events are kept. What is normal for a job is no event: see `farm job`.
    """
    with open_session({"redis_url": redis_url}) as session:
        log = EventLog(session.redis_client, session.keys)
        shown = log.last(last)
        after = shown[-1].id if shown else log.end()
        _print(shown, as_json)
        if not follow:
            if not shown:
                click.echo("No events yet.", err=True)
            return
        try:
            _print(log.follow(after), as_json)
        except KeyboardInterrupt:
            click.echo(err=True)


def _print(events: Iterable[Event], as_json: bool) -> None:
    for event in events:
        click.echo(_as_json(event) if as_json else _as_line(event))


def _as_json(event: Event) -> str:
    return json.dumps({"id": event.id, "event": event.event, "at": event.at, **event.fields}, ensure_ascii=False)


def _as_line(event: Event) -> str:
    fields = " ".join(f"{name}={_quoted(value)}" for name, value in event.fields.items())
    return f"{event.at}  {event.event:<20} {fields}".rstrip()


def _quoted(value: str) -> str:
    plain = value.isprintable() and not set(value) & set(' "=')
    return value if plain and value else json.dumps(value, ensure_ascii=False)
