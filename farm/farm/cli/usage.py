"""`farm usage`: what jobs use, by function."""

from dataclasses import asdict
from typing import Any

import click

from farm.cli.amounts import BYTES_PER_MB
from farm.cli.findings import duration
from farm.cli.output import print_json, table
from farm.cli.session import open_session
from farm.store.function_usage import FunctionUsage, queues_known, read_usage

COLUMNS = ("queue", "function", "jobs", "cpu", "cores", "memory", "memory 95%", "time", "time 95%", "wait", "seen")
MINUTE = 60.0

EPILOG = """
\b
Examples:
  farm usage
  farm usage --queue calls
  farm usage --function calls.resize --json
"""


@click.command(epilog=EPILOG)
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Only of this queue. May be repeated.")
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this one. May be repeated.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(queues: tuple[str, ...], functions: tuple[str, ...], redis_url: str | None, as_json: bool) -> None:
    """List functions with what one job of each uses, those first that use the most CPU time in sum.

    jobs: how many ended so far. cpu: CPU time of one, children that it waited for included. cores: busy while it runs.
    memory: what one running job adds to its idle process. time: from its start to its end. wait: from when it was
    enqueued to its start. All are means of the latest jobs; 95%: nineteen of twenty stay below. seen: when a host told
    of it last. docs/usage.md says how this is measured.

    --json prints a list: queue, function, jobs (ended lately; one counts half after an hour), counted (all),
    cpu_seconds, cpu_seconds_high (high is the 95th percentile), user_seconds, system_seconds, children_seconds, cpus
    (cores), memory, memory_high (bytes), wall_seconds, wall_high, wait_seconds, seen_at (Unix seconds).

    Exit codes: 0 shown, even if there are none, 3 no Redis.
    """
    with open_session({"redis_url": redis_url}) as session:
        client = session.redis_client
        names = queues or queues_known(client, session.rq_keys)
        found = read_usage(client, session.keys, list(dict.fromkeys(names)))
        seconds, microseconds = client.time()
    usages = [usage for usage in found if not functions or usage.function in functions]
    usages.sort(key=lambda usage: -usage.cpu_seconds * usage.jobs)
    if as_json:
        print_json([asdict(usage) for usage in usages])
        return
    now = seconds + microseconds / 1e6
    table("Usage", COLUMNS, (_row(usage, now) for usage in usages))


def _row(usage: FunctionUsage, now: float) -> tuple[Any, ...]:
    return (
        usage.queue,
        usage.function or None,
        usage.counted,
        _seconds(usage.cpu_seconds),
        f"{usage.cpus:.2f}",
        _megabytes(usage.memory),
        _megabytes(usage.memory_high),
        _seconds(usage.wall_seconds),
        _seconds(usage.wall_high),
        _seconds(usage.wait_seconds),
        duration(now - usage.seen_at, units=1),
    )


def _seconds(value: float) -> str:
    if value >= MINUTE:
        return duration(value)
    return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms"


def _megabytes(value: int) -> str:
    return f"{value / BYTES_PER_MB:.3g} MB"
