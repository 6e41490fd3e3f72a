"""`farm scale`: how many hosts there should be, and the numbers behind that, for whoever starts and ends hosts."""

import click

from farm.cli.findings import clock_time, duration
from farm.cli.output import print_json
from farm.cli.session import Session, open_session
from farm.scale import MOST_HOSTS, WITHIN_SECONDS, ScaleWishes
from farm.scale_signal import ScaleSignal, read_signal
from farm_settings.parsers import parse_seconds

EPILOG = """
\b
Examples:
  farm scale
  farm scale --queue calls --within 10 --min 1 --max 20
  docker compose up -d --no-recreate --scale worker="$(farm scale --number)"
  farm scale --queue calls --listen 9200     for KEDA: http://…:9200/ answers with the JSON
"""


def _seconds(ctx: click.Context, param: click.Parameter, value: str) -> float:
    try:
        return parse_seconds(value)
    except ValueError:
        expected = "expected seconds above 0, or a number with ms, s, m, h or d"
        raise click.BadParameter(f"{value!r} is no duration; {expected}.", ctx, param) from None


@click.command(epilog=EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--number", is_flag=True, help="Print only the number of hosts.")
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Only this queue counts. May be repeated.")
@click.option(
    "--within",
    callback=_seconds,
    default=f"{WITHIN_SECONDS:g}",
    show_default=True,
    metavar="SECONDS",
    help="How soon what waits should be worked off.",
)
@click.option("--min", "least", type=click.IntRange(0), default=0, show_default=True, help="Fewest hosts.")
@click.option("--max", "most", type=click.IntRange(0), default=MOST_HOSTS, show_default=True, help="Most hosts.")
@click.option(
    "--jobs-per-host",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="What one host carries, instead of what the hosts do now.",
)
@click.option("--keep-busy", is_flag=True, help="Never fewer than the hosts that run something.")
@click.option(
    "--listen", metavar="[ADDRESS:]PORT", help="Answer HTTP requests with the JSON, read anew for each, until stopped."
)
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
def command(  # noqa: PLR0913, PLR0917 - one for each option
    as_json: bool,
    number: bool,
    queues: tuple[str, ...],
    within: float,
    least: int,
    most: int,
    jobs_per_host: float | None,
    keep_busy: bool,
    listen: str | None,
    redis_url: str | None,
) -> None:
    """Say how many hosts there should be, and why. Starts and ends none.

    What waits is worked off within --within seconds, as far as it was measured how long jobs take; of others each gets
    a slot. That many slots, divided by what one host carries: its slots, or what it holds while its load keeps it full.
    Without --queue all queues count that hosts serve.

    --json prints one flat object: at, queues, queued, placed (given to hosts, not begun), running, deferred,
    deferred_reason, oldest_wait (seconds), hosts, draining, capacity (slots), free, jobs_per_host, slots_needed,
    desired_hosts, why, unserved, complete.

    Exit codes: 0 said, 2 a mistake in the call, 3 no Redis.
    """
    if as_json + number + (listen is not None) > 1:
        raise click.UsageError("--json, --number and --listen exclude each other.")
    if most < least:
        raise click.UsageError(f"--max {most} is less than --min {least}.")
    wishes = ScaleWishes(within, least, most, jobs_per_host, keep_busy)
    with open_session({"redis_url": redis_url}) as session:
        if listen is not None:
            _answer(session, listen, wishes, queues)
        elif number:
            click.echo(_read(session, wishes, queues).desired_hosts)
        elif as_json:
            print_json(as_json_of(_read(session, wishes, queues)))
        else:
            _show(_read(session, wishes, queues))


def as_json_of(signal: ScaleSignal) -> dict[str, object]:
    """The signal as scalers read it: flat, whole numbers where there can be no others."""
    return {
        "at": clock_time(signal.at),
        "queues": list(signal.queues),
        "queued": signal.queued,
        "placed": signal.placed,
        "running": signal.running,
        "deferred": signal.deferred,
        "deferred_reason": signal.deferred_reason or None,
        "oldest_wait": round(signal.oldest_wait, 3),
        "hosts": signal.hosts,
        "draining": signal.draining,
        "capacity": signal.capacity,
        "free": signal.free,
        "jobs_per_host": None if signal.jobs_per_host is None else round(signal.jobs_per_host, 3),
        "slots_needed": round(signal.slots_needed, 3),
        "desired_hosts": signal.desired_hosts,
        "why": signal.why,
        "unserved": list(signal.unserved),
        "complete": signal.is_complete,
    }


def _read(session: Session, wishes: ScaleWishes, queues: tuple[str, ...]) -> ScaleSignal:
    lease = session.settings.lease
    return read_signal(
        session.redis_client,
        (session.keys, session.rq_keys),
        wishes,
        queues,
        (lease.suspect_after, lease.host_timeout),
    )


def _show(signal: ScaleSignal) -> None:
    oldest = f", the oldest for {duration(signal.oldest_wait)}" if signal.oldest_wait >= 1 else ""
    placed = f", and {signal.placed} placed" if signal.placed else ""
    reason = f": {signal.deferred_reason}" if signal.deferred_reason else ""
    hosts = "1 host" if signal.hosts == 1 else f"{signal.hosts} hosts"
    draining = f", {signal.draining} more drain" if signal.draining else ""
    lines = {
        "queues": ", ".join(signal.queues) or "none known",
        "queued": f"{signal.queued}{placed}{oldest}",
        "running": f"{signal.running}",
        "deferred": f"{signal.deferred}{reason}",
        "capacity": f"{signal.capacity} slots of {hosts}{draining}; {signal.free} free now",
        "desired": "1 host" if signal.desired_hosts == 1 else f"{signal.desired_hosts} hosts",
        "why": signal.why,
    }
    for name, text in lines.items():
        click.echo(f"{name:<9} {text}")
    if signal.unserved:
        click.echo(f"not counted, as no host serves it: {', '.join(signal.unserved)}. --queue does")
    if not signal.is_complete:
        click.echo("there is more than was read: hosts, queues or running jobs")


def _answer(session: Session, listen: str, wishes: ScaleWishes, queues: tuple[str, ...]) -> None:
    from farm.cli.scale_endpoint import address_from, answer_requests  # noqa: PLC0415 (only --listen needs a server)

    answer_requests(address_from(listen), lambda: as_json_of(_read(session, wishes, queues)))
