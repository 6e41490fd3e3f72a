"""`farm job`: everything about one job, from its raw fields; or its cancel.

What the job carries is decoded only when its result is asked for.
"""

from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from farm.cli.amounts import memory, time_taken
from farm.cli.output import print_json, table
from farm.cli.session import Session, open_session
from farm.errors import JobError, JobNotFound
from farm.store.job_reader import JobReader
from farm.store.job_status import JobStatus, Outcome
from farm.store.job_usage import JobUsage

EPILOG = """
\b
Examples:
  farm job 4f0c…
  farm job 4f0c… --traceback
  farm job 4f0c… --json | jq .deferred_reason
  farm job 4f0c… --cancel --grace 30
"""

_CANCELED = {
    "canceled": "job {} is canceled: it will not run",
    "stopping": "job {} runs: its host was told to stop it",
    "ended": "job {} had ended before",
}


@click.command(epilog=EPILOG)
@click.argument("job_id", metavar="ID")
@click.option("--traceback", is_flag=True, help="Print the whole traceback of a failed job.")
@click.option("--result", "with_result", is_flag=True, help="Decode and print the result; pickled ones may run code.")
@click.option("--cancel", is_flag=True, help="Keep it from running, and stop it where it runs.")
@click.option(
    "--grace", type=click.FloatRange(0, 1e9), metavar="SECONDS", help="With --cancel: it may end by itself for so long."
)
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    job_id: str,
    traceback: bool,
    with_result: bool,
    cancel: bool,
    grace: float | None,
    redis_url: str | None,
    as_json: bool,
) -> None:
    """Show one job: status, place in line, why it is deferred, who runs it, how it ended; or cancel it.

    Exit codes: 0 shown or canceled, 3 no Redis, 4 no such job.
    """
    if grace is not None and not cancel:
        raise click.UsageError("--grace goes with --cancel.")
    if cancel and (traceback or with_result or as_json):
        raise click.UsageError("--cancel stands alone, or with --grace.")
    with open_session({"redis_url": redis_url}) as session:
        reader = JobReader(session.redis_client, session.keys, session.rq_keys, session.settings.lease.host_timeout)
        if cancel:
            click.echo(_cancel(session, job_id, grace))
            return
        status = reader.status(job_id)
        if status is None:
            raise JobNotFound(
                f"job {job_id} is not in this Redis: it never was, it was deleted, or its result_ttl is over"
            )
        outcome = reader.outcome(job_id)
        result = _result(session, job_id, outcome) if with_result else {}
    facts = _facts(status, outcome) | result
    if as_json:
        print_json(facts | {"traceback": outcome.traceback})
        return
    ends = {f"end {number}": end.sentence() for number, end in enumerate(status.evidence, start=1)}
    said = {
        "progress": status.progress,
        "used": None if status.used is None else _used(status.used),
        "declined": [*map(str, status.declined)],
        "evidence": None,
    }
    shown = facts | said | ends
    rows = [(name.replace("_", " "), _cell(value)) for name, value in shown.items() if value not in (None, "", [])]
    table(f"Job {job_id}", ("field", "value"), rows)
    if traceback and outcome.traceback:
        click.echo(outcome.traceback.rstrip())


def _cancel(session: Session, job_id: str, grace: float | None) -> str:
    from farm.client import Client  # noqa: PLC0415  (loads RQ, as for results)

    with Client(session.address.url, settings=session.settings) as client:
        done = client.job(job_id).cancel(grace)
    limit = f", {grace:g} s after it was asked to end" if done == "stopping" and grace is not None else ""
    return _CANCELED[done].format(job_id) + limit


def _facts(status: JobStatus, outcome: Outcome) -> dict[str, Any]:
    facts = {name: _plain(value) for name, value in asdict(status).items()}
    return facts | {"error": _last_line(outcome.traceback) if status.status != "finished" else None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _last_line(traceback: str | None) -> str | None:
    lines = (traceback or "").strip().splitlines()
    return lines[-1].strip() if lines else None


def _cell(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _used(usage: JobUsage) -> str:
    cpu, wall = time_taken(usage.cpu_seconds), time_taken(usage.seconds)
    return f"{cpu} of CPU time in {wall}, {memory(usage.memory)} of memory"


def _result(session: Session, job_id: str, outcome: Outcome) -> dict[str, str]:
    from farm.client.results import value_of  # noqa: PLC0415  (loads RQ; looking at a job needs none of it)

    if outcome.status != "finished":
        return {}
    try:
        return {"result": repr(value_of(job_id, outcome, session.settings.jobs.serializer))}
    except JobError as error:
        return {"result": f"cannot be shown: {error}"}
