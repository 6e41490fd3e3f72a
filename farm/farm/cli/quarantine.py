"""`farm quarantine`: jobs whose records cannot be read. They are looked at, put back, or dropped; never decoded."""

from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any

import click

from farm.cli import exit_codes
from farm.cli.findings import duration
from farm.cli.output import print_json, printable, table
from farm.cli.replies import as_text
from farm.cli.session import Session, open_session
from farm.store.quarantine import LetOut, Quarantined, QuarantinedRecord, QuarantineStore, RawField

EPILOG = """
\b
Examples:
  farm quarantine list
  farm quarantine show 4f0c…
  farm redis HSET rq:job:4f0c… origin calls      mend the record, then
  farm quarantine requeue 4f0c…
  farm quarantine drop 4f0c…                     or give it up
"""

_SAID = {
    "requeued": "job {id} is back at the head of queue {detail}",
    "dropped": "job {id} is dropped",
    "released": "job {id} is no longer in quarantine and needs nothing else: {detail}",
    "unreadable": "job {id} stays in quarantine: {detail}. Mend the record, or `farm quarantine drop {id}`.",
    "absent": "job {id} is not in quarantine: `farm quarantine list` shows which are",
}


@click.group(epilog=EPILOG)
def command() -> None:
    """Show, requeue or drop jobs whose records cannot be read.

    Such a job is set aside instead of being run or lost, and `job.quarantined` stands in `farm events`.
    """


def _shared(function: Callable[..., None]) -> Callable[..., None]:
    """The options that each of these commands has."""
    function = click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)
    return click.option("--redis-url", metavar="URL", help="The Redis to use.")(function)


@command.command("list")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@_shared
def list_command(limit: int, redis_url: str | None, as_json: bool) -> None:
    """List them, the latest first, with the reason of each.

    --json prints jobs, a list of id, since (ISO 8601) and reason, and total, how many there are.

    Exit codes: 0 shown, even if there are none, 3 no Redis.
    """
    with open_session({"redis_url": redis_url}) as session:
        store = _store(session)
        entries, total = store.entries(limit), store.count()
        seconds, microseconds = session.redis_client.time()
    if as_json:
        print_json({"jobs": [_entry_as_json(entry) for entry in entries], "total": total})
        return
    table("Quarantine", ("job", "age", "why"), (_row(entry, seconds + microseconds / 1e6) for entry in entries))
    if total > len(entries):
        click.echo(f"There are {total - len(entries)} more: raise --limit.", err=True)


@command.command("show")
@click.argument("job_id", metavar="ID")
@_shared
def show_command(job_id: str, redis_url: str | None, as_json: bool) -> None:
    """Show why one is there, and its raw fields.

    Each field is cut to 200 bytes, and nothing is decoded.

    --json prints id, since, reason, type (of the job's key), fields (a list of name, bytes, head) and fields_left_out.

    Exit codes: 0 shown, 3 no Redis, 4 no such job in quarantine.
    """
    with open_session({"redis_url": redis_url}) as session:
        record = _store(session).record(job_id)
        key = session.rq_keys.job(job_id)
    if as_json:
        print_json(_record_as_json(record))
        return
    since = record.entry.since
    shown = None if since is None else since.isoformat(timespec="seconds")
    about = [("reason", record.entry.reason), ("since", shown), ("key", key), ("type", record.kind)]
    table(f"Job {printable(job_id)}", ("field", "value"), about)
    if record.fields:
        click.echo()
        table("Record", ("name", "bytes", "value"), map(_field_row, record.fields))
    if record.fields_left_out:
        click.echo(f"{record.fields_left_out} fields are not shown.", err=True)


@command.command("requeue")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@_shared
def requeue_command(job_ids: tuple[str, ...], redis_url: str | None, as_json: bool) -> None:
    """Put back those that can be read by now.

    They go to the heads of their queues; those that still cannot be read stay, with the reason that holds now.

    --json prints a list of id, outcome (requeued; released: it runs, ended or waits already; unreadable: it stays;
    absent) and detail.

    Exit codes: 0 all let out, 1 one stays, 3 no Redis, 4 one is not in quarantine.
    """
    with open_session({"redis_url": redis_url}) as session:
        answers = _store(session).requeue(dict.fromkeys(job_ids))
    _tell(answers, as_json)


@command.command("drop")
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@_shared
def drop_command(job_ids: tuple[str, ...], redis_url: str | None, as_json: bool) -> None:
    """Delete them for good. One that runs, has ended or waits in its queue by now is kept, and only let out.

    --json prints a list of id, outcome (dropped, released, absent) and detail.

    Exit codes: 0 all let out, 3 no Redis, 4 one is not in quarantine.
    """
    with open_session({"redis_url": redis_url}) as session:
        answers = _store(session).drop(dict.fromkeys(job_ids))
    _tell(answers, as_json)


def _store(session: Session) -> QuarantineStore:
    return QuarantineStore(session.redis_client, session.keys, session.rq_keys)


def _tell(answers: Iterable[LetOut], as_json: bool) -> None:
    answers = list(answers)
    if as_json:
        print_json([asdict(answer) for answer in answers])
    for answer in () if as_json else answers:
        sentence = printable(_SAID[answer.outcome].format(id=answer.id, detail=answer.detail))
        if answer.outcome == "dropped" and answer.detail:
            sentence += f"; {answer.detail}"
        is_error = answer.outcome in ("unreadable", "absent")
        click.echo(f"Error: {sentence}" if is_error else sentence, err=is_error)
    outcomes = {answer.outcome for answer in answers}
    if "absent" in outcomes:
        raise click.exceptions.Exit(exit_codes.NOT_FOUND)
    if "unreadable" in outcomes:
        raise click.exceptions.Exit(exit_codes.FAILED)


def _row(entry: Quarantined, now: float) -> tuple[object, ...]:
    age = None if entry.since is None else duration(now - entry.since.timestamp())
    return entry.id, age, entry.reason


def _field_row(field: RawField) -> tuple[object, ...]:
    cut = " …" if field.size > len(field.head) else ""
    return field.name, field.size, as_text(("HGET",), field.head) + cut


def _entry_as_json(entry: Quarantined) -> dict[str, Any]:
    since = None if entry.since is None else entry.since.isoformat(timespec="milliseconds")
    return {"id": entry.id, "since": since, "reason": entry.reason}


def _record_as_json(record: QuarantinedRecord) -> dict[str, Any]:
    return _entry_as_json(record.entry) | {
        "type": record.kind,
        "fields": [
            {"name": field.name, "bytes": field.size, "head": field.head.decode("utf-8", "backslashreplace")}
            for field in record.fields
        ],
        "fields_left_out": record.fields_left_out,
    }
