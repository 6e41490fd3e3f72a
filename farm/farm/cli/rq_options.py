"""The options of `rq worker`, so that `farm worker` can stand in its place.

Each is taken with its spelling and meaning, or refused with a sentence that names ours. None is taken and ignored.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

import click

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "redis_url": ("-u", "--url"),
    "name": ("-n",),
    "path": ("-P",),
    "burst": ("-b",),
    "exit_when_idle": ("--max-idle-time",),
    "pid_file": ("--pid",),
    "dequeue_strategy": ("-ds",),
    "result_ttl": ("--results-ttl",),
    "serializer": ("-S",),
    "job_class": ("-j",),
    "exception_handlers": ("--exception-handler",),
    "log_level": ("--logging_level", "--logging-level"),
}
"""Settings that RQ has an option for under another spelling than ours."""

REFUSED: Mapping[tuple[str, ...], str] = {
    ("--worker-class", "-w"): "a host runs jobs in processes of its own kind: see --process-mode and --executor.",
    ("--connection-class",): "the farm makes its own connections: say where Redis is with --redis-url.",
    ("--worker-ttl",): "a silent host is given up sooner than RQ's worker: see --host-timeout (10 s).",
    ("--maintenance-interval",): "the coordinator looks after RQ's registries at all times: there is nothing to set.",
    ("--job-monitoring-interval",): "a host watches its jobs all the time: see --heartbeat-interval, --ping-interval.",
    ("--date-format",): "times in the log cannot be changed: see --log-format text or json (ISO 8601).",
}
"""Options with a value."""

REFUSED_SWITCHES: Mapping[tuple[str, ...], str] = {
    ("--disable-default-exception-handler", "-d"): (
        "a failed job always goes to RQ's failed registry: see --exception-handlers for handlers beside that."
    ),
    ("--disable-job-desc-logging",): "the log names jobs without their arguments: see --log-jobs for how many lines.",
}
"""Options without a value."""

UNUSED_VARIABLES: Mapping[str, str] = {
    "RQ_WORKER_CLASS": "see --process-mode and --executor",
    "RQ_CONNECTION_CLASS": "say where Redis is with FARM_REDIS_URL",
}
"""Variables of `rq worker` that mean nothing here: they may be meant for other services, so they only get a warning."""


def rq_options() -> Iterator[click.Parameter]:
    """Options of `rq worker` that are no settings of ours, taken or refused."""
    yield click.Option(
        ["--config", "-c"], metavar="MODULE", help="Module with RQ's settings: REDIS_URL or REDIS_HOST, QUEUES, NAME."
    )
    yield click.Option(["--verbose", "-v"], is_flag=True, help="The same as --log-level=debug.")
    yield click.Option(["--quiet", "-q"], is_flag=True, help="The same as --log-level=warning.")
    yield click.Option(
        ["--with-scheduler", "-s"],
        is_flag=True,
        expose_value=False,
        help="Taken as with rq: the coordinator always moves scheduled jobs that are due.",
    )
    for spellings, sentence in REFUSED.items():
        yield _RefusedOption(spellings, sentence, is_flag=False)
    for spellings, sentence in REFUSED_SWITCHES.items():
        yield _RefusedOption(spellings, sentence, is_flag=True)


def log_level_of(verbose: bool, quiet: bool) -> dict[str, object]:
    """The setting that -v or -q stands for, if one was given. They win over --log-level, as with rq."""
    if verbose and quiet:
        raise click.UsageError("--verbose and --quiet cannot be given together.")
    if verbose:
        return {"log_level": "debug"}
    return {"log_level": "warning"} if quiet else {}


def unused_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """A warning for each variable of `rq worker` that is set and means nothing here."""
    for variable, remedy in UNUSED_VARIABLES.items():
        if environ.get(variable):
            yield f"{variable} is set, but a host does not use it: {remedy}."


class _RefusedOption(click.Option):
    """An option that is known, and explained when it is used."""

    def __init__(self, spellings: tuple[str, ...], sentence: str, *, is_flag: bool) -> None:
        super().__init__(list(spellings), is_flag=is_flag, default=None, hidden=True, expose_value=False)
        self._sentence = sentence

    def process_value(self, ctx: click.Context, value: Any) -> Any:
        """Refuses the option if it was given."""
        if value is None or value is False or ctx.get_parameter_source(str(self.name)) is None:
            return None
        source = ctx.get_parameter_source(str(self.name))
        return self._refuse(ctx) if source is click.core.ParameterSource.COMMANDLINE else None

    def _refuse(self, ctx: click.Context) -> NoReturn:
        raise click.UsageError(f"{' / '.join(self.opts)} of rq worker is not taken: {self._sentence}", ctx)
