"""`farm jobs`: many jobs, where each is, and what it waits for."""

from typing import Any

import click

from farm.cli.findings import duration
from farm.cli.output import print_json, table
from farm.cli.session import open_session
from farm.store.job_list import STATUSES, JobLister, JobPage, ListedJob, ListedStatus, Wanted

COLUMNS = ("job", "function", "queue", "status", "host", "attempt", "age", "why")

EPILOG = """
\b
Examples:
  farm jobs
  farm jobs --status deferred --queue calls
  farm jobs --status running --host worker-1
  farm jobs --status failed --json | jq -r '.jobs[].id' | xargs farm requeue
"""


@click.command(epilog=EPILOG)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(STATUSES),
    metavar="STATUS",
    help="Only these. May be repeated.",
)
@click.option("--queue", "queues", multiple=True, metavar="QUEUE", help="Only of this queue. May be repeated.")
@click.option("--host", metavar="HOST", help="Only what this host runs, has in its inbox, or ran last.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    statuses: tuple[ListedStatus, ...],
    queues: tuple[str, ...],
    host: str | None,
    limit: int,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """List jobs by status, in the order of their turn; ended ones with the latest first.

    STATUS is running, queued, deferred, ready, rate_limited, scheduled, dependent, quarantined, failed, stopped,
    canceled or finished. running: RQ says started. deferred: it waits because every host of its queue is full, draining
    or unhealthy, or there is none. dependent: it waits for other jobs (RQ calls that deferred).

    age: for how long it has been so. why: what it waits for, how it failed, why it is in quarantine.

    --json prints {"jobs": [...], "more": true or false}; each job has id, function, queue, status, reason, host,
    attempt, since (ISO 8601), age (seconds), and null for what is not known. Nothing of a job is decoded.

    Exit codes: 0 shown, even if there are none, 2 no such status, 3 no Redis.
    """
    with open_session({"redis_url": redis_url}) as session:
        lease = session.settings.lease
        lister = JobLister(session.redis_client, session.keys, session.rq_keys, lease.suspect_after, lease.host_timeout)
        page = lister.jobs(Wanted(statuses, queues, host), limit)
    if as_json:
        print_json(_as_json(page))
        return
    table("Jobs", COLUMNS, map(_row, page.jobs))
    if page.more:
        click.echo(f"There are more than these {len(page.jobs)}: narrow the search, or raise --limit.", err=True)


def _row(job: ListedJob) -> tuple[object, ...]:
    age = None if job.age is None else duration(job.age, units=1)
    return job.id, job.function, job.queue, job.status, job.host, job.attempt, age, job.reason


def _as_json(page: JobPage) -> dict[str, Any]:
    return {"jobs": [_job_as_json(job) for job in page.jobs], "more": page.more}


def _job_as_json(job: ListedJob) -> dict[str, Any]:
    return {
        "id": job.id,
        "function": job.function,
        "queue": job.queue,
        "status": job.status,
        "reason": job.reason,
        "host": job.host,
        "attempt": job.attempt,
        "since": None if job.since is None else job.since.isoformat(timespec="milliseconds"),
        "age": job.age,
    }
