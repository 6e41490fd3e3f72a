"""`farm demo`: the main job on real input, with everything it needs, and nothing left at its end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from farm.cli import exit_codes
from farm.cli.output import table

if TYPE_CHECKING:
    from farm.demo.report import Report

HEAVIEST = 10
HEAVIEST_COUNTS = ("lines", "nodes", "functions", "classes")
COUNTS = ("lines", "tokens", "nodes", "functions", "classes", "imports", "bytecode")

_REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

EPILOG = """
\b
The last line on stdout holds the numbers:
  enqueued    jobs, by the list of the service that enqueued them
  finished    jobs of that list with a result; failed: without one
  lost        jobs of that list without any outcome
  deferred    jobs in farm:deferred:<queue> while both hosts said load 1.0
  recovered   jobs given back from the killed host
Exit code 0 only if none failed, none is lost, and some were deferred and recovered.
\b
Examples:
  farm demo
  farm demo | tail -n 1
"""


@click.command(epilog=EPILOG)
@click.pass_context
def command(context: click.Context) -> None:
    """See the farm at work: two hosts index the source files of the Python standard library.

    A service of its own process enqueues them with plain rq. The load of both hosts rises until jobs are deferred, and
    falls again; then one host is killed in the middle, and the other one finishes its jobs.

    It starts a Redis of its own, uses no network, takes less than two minutes, and leaves nothing behind.
    """
    with _ending_in_order():
        report = _run()
    _print(report)
    problems = report.problems()
    for problem in problems:
        click.echo(f"Error: {problem}", err=True)
    click.echo(report.last_line)
    context.exit(exit_codes.FAILED if problems else exit_codes.OK)


def _run() -> "Report":
    # What follows is heavy, and `farm demo --help` does not need it.
    from farm.demo.screen import screen  # noqa: PLC0415
    from farm.demo.show import Show  # noqa: PLC0415
    from farm.demo.sources import standard_library  # noqa: PLC0415
    from farm.demo.stage import SETTINGS, Stage  # noqa: PLC0415

    files = standard_library()
    with Stage(files) as stage:
        click.echo(f"Redis: {stage.url} (private, gone with this demo)", err=True)
        changed = ", ".join(f"{name}={value}" for name, value in SETTINGS.items())
        click.echo(f"{len(files)} source files of the Python standard library, one job each.")
        click.echo(f"Default settings, but for {changed}:")
        click.echo("so nobody waits long for the jobs of a lost host.\n")
        with screen() as shown:
            return Show(stage, files, shown).run()


def _print(report: "Report") -> None:
    from farm.demo.sources import short_name  # noqa: PLC0415

    results = report.results
    click.echo()
    table(
        f"The {HEAVIEST} heaviest files",
        ("file", *HEAVIEST_COUNTS, "ran on"),
        [
            (short_name(file.path), *(file.counts[what] for what in HEAVIEST_COUNTS), file.host)
            for file in results.heaviest(HEAVIEST)
        ],
    )
    click.echo()
    hosts = sorted({file.host for file in results.files})
    table(
        "All files",
        ("what", "how many"),
        [
            ("files", len(results.files)),
            *((what, results.sum(what)) for what in COUNTS),
            *((f"ran on {host}", sum(file.host == host for file in results.files)) for host in hosts),
            ("seconds", f"{report.seconds:.1f}"),
        ],
    )
    click.echo()


@contextmanager
def _ending_in_order() -> Iterator[None]:
    """Every request to end is taken like Ctrl-C: all that was started is ended first."""
    before = {number: signal.signal(number, _interrupt) for number in _REQUESTS_TO_END}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
