"""`farm worker`: checks options and settings, then becomes the host, isolated from the user's folders."""

import os
from collections.abc import Mapping
from typing import Any

import click

from farm.cli.rq_config import below_the_environment, read_config
from farm.cli.rq_options import SPELLINGS, log_level_of, rq_options, unused_variables
from farm.cli.setting_options import SettingsCommand, given_settings, setting_options, without_effect
from farm.flags import hand_over
from farm.isolation import run_isolated
from farm_settings import load

SECTIONS = ("redis", "host", "pool", "admission", "lease", "jobs", "logs")

EPILOG = """
\b
Examples:
  farm worker                                 serve the queue `default`
  farm worker high default --processes 8      high first, 8 jobs at a time
  farm worker calls --app calls               with the App in calls.py
  farm worker --burst                         end when the queue is empty

Each option can be given as a variable: --idle-processes is FARM_IDLE_PROCESSES. Of the options of `rq worker`, those
that make sense here are taken with the same spelling.
"""


def _run(**parameters: Any) -> None:
    """Start a host: it runs jobs from the given queues, the first before the others.

    Drains on SIGTERM or SIGINT: takes nothing more, lets running jobs finish, ends. A second signal ends them.
    """
    flags = worker_flags(parameters, os.environ)
    settings = load(flags=flags)  # a mistake is told here, before anything starts
    for warning in (*unused_variables(os.environ), *without_effect(settings)):
        click.echo(f"Warning: {warning}", err=True)
    run_isolated("farm_worker", [], hand_over(flags))


def worker_flags(parameters: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, object]:
    """The settings that the options of `farm worker` stand for: name in lower case → value as typed.

    Raises click.UsageError for options that exclude each other, and for a configuration module that cannot be used.
    """
    flags = given_settings(parameters) | log_level_of(parameters["verbose"], parameters["quiet"])
    if parameters["queue"]:
        if "queues" in flags:
            raise click.UsageError("Queues cannot be given both as arguments and as --queues.")
        flags["queues"] = parameters["queue"]
    if "path" in flags:
        flags["path"] = (*parameters["path"], *_python_path(environ))
    module = parameters["config"] or environ.get("RQ_CONFIG")
    if module:
        path = load(flags={"path": flags.get("path")}, environ=environ).host.path
        flags = dict(below_the_environment(read_config(module, path), environ)) | flags
    return flags


def _python_path(environ: Mapping[str, str]) -> tuple[str, ...]:
    """As with rq, -P adds to the user's PYTHONPATH and takes the place of the current folder."""
    entries = environ.get("FARM_USER_PYTHONPATH") or environ.get("PYTHONPATH") or ""
    return tuple(entry for entry in entries.split(os.pathsep) if entry)


command = SettingsCommand(
    "worker",
    callback=_run,
    params=[
        click.Argument(["queue"], nargs=-1, metavar="[QUEUE]..."),
        *setting_options(SECTIONS, SPELLINGS),
        *rq_options(),
    ],
    help=_run.__doc__,
    epilog=EPILOG,
)
