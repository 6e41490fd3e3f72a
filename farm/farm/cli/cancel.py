"""`farm cancel`: waiting jobs do not run; running ones are stopped if that is asked for."""

from dataclasses import asdict, dataclass

import click

from farm.cli import exit_codes
from farm.cli.output import print_json, printable
from farm.cli.session import Session, open_session
from farm.client import Client
from farm.errors import JobError, JobNotFound

EPILOG = """
\b
Examples:
  farm cancel 4f0c…
  farm cancel --stop --grace 30 4f0c… 77ab…
  farm jobs --queue calls --status queued --json | jq -r '.jobs[].id' | xargs farm cancel
"""

_SAID = {
    "canceled": "job {} is canceled: it will not run",
    "stopping": "job {} runs: its host was told to stop it",
    "ended": "job {} had ended before",
    "running": "job {} runs and was left alone: --stop stops it",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one job."""

    id: str
    outcome: str
    """canceled, stopping, ended, running, not found, error."""
    error: str | None = None


@click.command(epilog=EPILOG)
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("--stop", is_flag=True, help="Stop those that run, too.")
@click.option(
    "--grace", type=click.FloatRange(0, 1e9), metavar="SECONDS", help="With --stop: they may end by themselves so long."
)
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_ids: tuple[str, ...], stop: bool, grace: float | None, redis_url: str | None, as_json: bool) -> None:
    """Keep jobs from running. One that runs is left alone unless --stop is given.

    --json prints a list with id, outcome (canceled, stopping, ended, running, not found, error) and error for each.

    Exit codes: 0 none of them will run on, 1 one was left alone, 3 no Redis, 4 no such job. The others are canceled in
    any case.
    """
    if grace is not None and not stop:
        raise click.UsageError("--grace goes with --stop.")
    with open_session({"redis_url": redis_url}) as session, _client(session) as client:
        answers = [_cancel(client, job_id, stop, grace) for job_id in dict.fromkeys(job_ids)]
    if as_json:
        print_json([asdict(answer) for answer in answers])
    else:
        _say(answers, grace)
    _end(answers)


def _client(session: Session) -> Client:
    return Client(session.address.url, settings=session.settings)


def _cancel(client: Client, job_id: str, stop: bool, grace: float | None) -> Answer:
    try:
        job = client.job(job_id)
        if job.status().status == "quarantined":
            return Answer(job_id, "error", f"job {job_id} is in quarantine: `farm quarantine drop {job_id}` drops it")
        return Answer(job_id, job.cancel(grace, stop=stop))
    except (JobNotFound, UnicodeEncodeError) as error:  # no client of RQ has ids that are not UTF-8
        return Answer(job_id, "not found", str(error))
    except JobError as error:
        return Answer(job_id, "error", str(error))


def _say(answers: list[Answer], grace: float | None) -> None:
    for answer in answers:
        if answer.error is not None:
            click.echo(f"Error: {printable(answer.error)}", err=True)
            continue
        limit = f", {grace:g} s after it was asked to end" if answer.outcome == "stopping" and grace is not None else ""
        click.echo(_SAID[answer.outcome].format(printable(answer.id)) + limit)


def _end(answers: list[Answer]) -> None:
    outcomes = {answer.outcome for answer in answers}
    if "not found" in outcomes:
        raise click.exceptions.Exit(exit_codes.NOT_FOUND)
    if outcomes & {"running", "error"}:
        raise click.exceptions.Exit(exit_codes.FAILED)
