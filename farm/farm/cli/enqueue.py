"""`farm enqueue`: a job from the shell, and its result if wanted."""

import json
import time
from collections.abc import Sequence
from typing import Any, cast

import click

from farm.cli.output import print_json
from farm.cli.session import Session, open_session
from farm.client import Client, DuplicateJob, InvalidCall, JobHandle, QueueOptions
from farm.client.results import timed_out
from farm.errors import JobFailed, ResultTimeout

LOOK_SECONDS = 1.0
"""How often a wait looks whether the job is deferred."""

EPILOG = """
\b
Examples:
  farm enqueue shop.bill 7
  farm enqueue images.resize picture.png --kwargs '{"width": 200}' --queue images
  farm enqueue images.resize picture.png --kwargs width=200 --wait --wait-timeout 30
  farm enqueue images.train --requires gpu --requires large --memory-mb 4096
  farm enqueue --wait math.fabs -- -7
"""


@click.command(epilog=EPILOG)
@click.argument("function", metavar="MODULE.FUNCTION")
@click.argument("arguments", metavar="[ARGUMENT]...", nargs=-1)
@click.option("-q", "--queue", default="default", show_default=True, help="The queue.")
@click.option("--kwargs", multiple=True, metavar="JSON|NAME=VALUE", help="Arguments by name. May be repeated.")
@click.option("--timeout", metavar="DURATION", help="End the job after this: 90, 90s, 5m, 1h; -1 never. Default 180.")
@click.option("--result-ttl", metavar="DURATION", help="Keep the result for so long. Default 500 s.")
@click.option("--delay", type=float, metavar="SECONDS", help="Not before so many seconds from now.")
@click.option("--job-id", metavar="ID", help="An id of your own; refused while a job of this id exists.")
@click.option("--at-front", is_flag=True, help="Before the jobs that wait already.")
@click.option("--on-lost", type=click.Choice(["rerun", "fail"]), help="When its host is lost; default: its host's.")
@click.option("--requires", multiple=True, metavar="LABEL", help="Run it on a host with this label. May be repeated.")
@click.option("--memory-mb", type=click.IntRange(1), metavar="MB", help="Run it where so much memory is free.")
@click.option("--wait", is_flag=True, help="Wait for the result and print it.")
@click.option("--wait-timeout", type=float, metavar="SECONDS", help="Wait at most so long (with --wait).")
@click.option("--redis-url", metavar="URL", help="The Redis to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(  # noqa: PLR0913  (one for each option)
    *,
    function: str,
    arguments: tuple[str, ...],
    queue: str,
    kwargs: tuple[str, ...],
    wait: bool,
    wait_timeout: float | None,
    redis_url: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Enqueue a call of MODULE.FUNCTION and print the job's id.

    An ARGUMENT is JSON if it can be read as JSON, else text: 7 is a number, '"7"' and seven are texts. Put -- before
    arguments that begin with a dash. With --wait the result is printed instead, as JSON if it can be.

    Exit codes: 0 enqueued (with --wait: finished), 1 the job failed (its traceback on stderr), 2 the call cannot be
    used, 3 no Redis, 5 --wait-timeout is over.
    """
    args, named = [_value(text) for text in arguments], _named(kwargs)
    with open_session({"redis_url": redis_url}) as session, _client(session) as client:
        handle = _enqueue(client, queue, _given(options), function, args, named)
        if not wait:
            click.echo(handle.id) if not as_json else print_json({"id": handle.id, "queue": queue})
            return
        click.echo(f"Job: {handle.id}", err=True)
        _show_result(handle, queue, wait_timeout, as_json)


def _client(session: Session) -> Client:
    return Client(session.address.url, settings=session.settings)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _named(texts: Sequence[str]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for text in texts:
        value = _value(text)
        name, equals, rest = text.partition("=")
        if isinstance(value, dict):
            named |= value
        elif equals and name.isidentifier():
            named[name] = _value(rest)
        else:
            raise click.BadParameter(f"{text!r} is neither a JSON object nor NAME=VALUE", param_hint="--kwargs")
    return named


def _given(options: dict[str, Any]) -> QueueOptions:
    given = {name: value for name, value in options.items() if value not in (None, False, ())}
    if "job_id" in given:
        given["unique"] = True
    return cast("QueueOptions", given)


def _enqueue(
    client: Client, queue: str, options: QueueOptions, function: str, args: Sequence[Any], named: dict[str, Any]
) -> JobHandle[Any]:
    try:
        return client.queue(queue, **options).enqueue_many([(function, tuple(args), named)])[0]
    except (InvalidCall, DuplicateJob) as error:
        raise click.UsageError(str(error)) from error


def _show_result(handle: JobHandle[Any], queue: str, seconds: float | None, as_json: bool) -> None:
    facts = {"id": handle.id, "queue": queue}
    try:
        result = _wait(handle, seconds)
    except (JobFailed, ResultTimeout) as error:
        if as_json:
            state = handle.status().status
            print_json(facts | {"status": state, "error": str(error)})
        raise
    if as_json:
        print_json(facts | {"status": "finished", "result": _as_json(result)})
    else:
        click.echo(_as_text(result))


def _wait(handle: JobHandle[Any], seconds: float | None) -> Any:
    """The result. Says on stderr when and why the job is deferred. Raises what `JobHandle.result` raises."""
    deadline = None if seconds is None else time.monotonic() + seconds
    told = None
    while True:
        left = LOOK_SECONDS if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            return handle.result(timeout=min(left, LOOK_SECONDS))
        except ResultTimeout:
            status = handle.status()
            if status.deferred_since is not None and told != status.deferred_reason:
                click.echo(f"Waiting: {status.sentence()}", err=True)
                told = status.deferred_reason
            if seconds is not None and deadline is not None and time.monotonic() >= deadline:
                raise timed_out(handle.id, seconds, status) from None


def _as_json(result: Any) -> Any:
    try:
        json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
    return result


def _as_text(result: Any) -> str:
    try:
        return json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
