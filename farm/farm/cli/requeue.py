"""`farm requeue`: failed jobs go to the ends of their queues, as if they had just been enqueued."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

import click

from farm.cli import exit_codes
from farm.cli.output import print_json, printable
from farm.cli.session import open_session
from farm.store.requeueing import Requeued, RequeueStore

REFUSALS_SHOWN = 100

EPILOG = """
\b
Examples:
  farm requeue 4f0c… 77ab…
  farm requeue --failed --queue calls
  farm requeue --failed                   of all queues
"""


@click.command(epilog=EPILOG)
@click.argument("job_ids", metavar="[ID]...", nargs=-1)
@click.option("--failed", is_flag=True, help="All jobs that failed.")
@click.option("--queue", metavar="QUEUE", help="With --failed: only those of this queue.")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(job_ids: tuple[str, ...], failed: bool, queue: str | None, redis_url: str | None, as_json: bool) -> None:
    """Enqueue failed jobs anew: those named, or with --failed all that failed before now, the first to fail first.

    A job that was stopped is requeued by its id, not by --failed. Crashes and lost hosts of a job are forgotten, so one
    that was poisoned has all its attempts again; what was left of its retries is what it has.

    --json prints requeued (a number), queues (name and number), and refused: a list of id, outcome (gone, not failed,
    unreadable) and detail, the first 100.

    Exit codes: 0 all requeued, 1 one was refused, 2 neither ID nor --failed, 3 no Redis, 4 no such job.
    """
    if bool(job_ids) == failed:
        raise click.UsageError("Give the ids of jobs, or --failed.")
    if queue is not None and not failed:
        raise click.UsageError("--queue goes with --failed.")
    with open_session({"redis_url": redis_url}) as session:
        store = RequeueStore(session.redis_client, session.rq_keys)
        if failed:
            queues = [queue] if queue is not None else store.queues()
            answers = (answer for name in queues for page in store.requeue_failed(name) for answer in page)
            counts, refused = _count(each for each in answers if not _is_no_matter(each))
        else:
            counts, refused = _count(store.requeue(dict.fromkeys(job_ids)))
    if as_json:
        shown = [asdict(answer) for answer in refused[:REFUSALS_SHOWN]]
        print_json({"requeued": counts.total(), "queues": dict(sorted(counts.items())), "refused": shown})
    else:
        _say(counts, refused)
    _end(refused)


def _is_no_matter(answer: Requeued) -> bool:
    """An entry of the registry whose job is gone, was stopped, or went another way."""
    return answer.outcome in ("gone", "not failed")


def _count(answers: Iterable[Requeued]) -> tuple[Counter[str], list[Requeued]]:
    counts: Counter[str] = Counter()
    refused = []
    for answer in answers:
        if answer.outcome == "requeued":
            counts[answer.detail] += 1
        else:
            refused.append(answer)
    return counts, refused


def _say(counts: Counter[str], refused: list[Requeued]) -> None:
    for name, count in sorted(counts.items()):
        click.echo(f"requeued {count} {'job' if count == 1 else 'jobs'} of queue {printable(name)}")
    if not counts and not refused:
        click.echo("requeued 0 jobs")
    for answer in refused[:REFUSALS_SHOWN]:
        click.echo(f"Error: {printable(answer.refusal())}", err=True)
    if len(refused) > REFUSALS_SHOWN:
        click.echo(f"Error: {len(refused) - REFUSALS_SHOWN} more were refused", err=True)


def _end(refused: list[Requeued]) -> None:
    if any(answer.outcome == "gone" for answer in refused):
        raise click.exceptions.Exit(exit_codes.NOT_FOUND)
    if refused:
        raise click.exceptions.Exit(exit_codes.FAILED)
