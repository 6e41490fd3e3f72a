"""`farm coordinator`: checks options and settings, then becomes a coordinator, isolated from the user's folders."""

from typing import Any

import click

from farm.cli.rq_options import log_level_of
from farm.cli.setting_options import SettingsCommand, given_settings, setting_options
from farm.flags import hand_over
from farm.isolation import run_isolated
from farm_settings import load

SECTIONS = ("redis", "admission", "lease", "logs")
READ = frozenset(
    {"redis_url", "prefix", "max_deferral", "max_deferral_action", "suspect_after", "host_timeout", "leader_ttl"}
    | {"max_host_losses", "log_level", "log_format"}
)
"""Settings of these sections that a coordinator reads; the others are for hosts."""

SPELLINGS = {"redis_url": ("-u", "--url")}

EPILOG = """
\b
Examples:
  farm coordinator
  farm coordinator --redis-url redis://db:6379/0 --log-format json

Each option can be given as a variable: --host-timeout is FARM_HOST_TIMEOUT.
"""


def _run(**parameters: Any) -> None:
    """Start a coordinator: it places jobs on hosts, defers and recovers them.

    Any number may run: one leads, the others wait to take over. Hosts start one by themselves when none leads, unless
    they are told --no-standby-coordinator.
    """
    flags = given_settings(parameters) | log_level_of(parameters["verbose"], parameters["quiet"])
    load(flags=flags)  # a mistake is told here, before anything starts
    run_isolated("farm.coordinator", [], hand_over(flags))


command = SettingsCommand(
    "coordinator",
    callback=_run,
    params=[
        *(option for option in setting_options(SECTIONS, SPELLINGS) if option.name in READ),
        click.Option(["--verbose", "-v"], is_flag=True, help="The same as --log-level=debug."),
        click.Option(["--quiet", "-q"], is_flag=True, help="The same as --log-level=warning."),
    ],
    help=_run.__doc__,
    epilog=EPILOG,
)
