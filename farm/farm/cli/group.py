"""The group of all commands. Each is one module, imported when it is used, with the click command as `command`."""

import importlib
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any, NamedTuple

import click

from farm.cli.failures import told_in_one_line


class Entry(NamedTuple):
    """One command, before its module is imported."""

    module: str
    summary: str


COMMANDS: Mapping[str, Entry] = {
    "up": Entry("farm.cli.up", "Start everything on this machine: Redis, coordinator, host."),
    "worker": Entry("farm.cli.worker", "Start a host that runs jobs. Takes the options of `rq worker`."),
    "coordinator": Entry("farm.cli.coordinator", "Start a coordinator. Hosts start one when none leads."),
    "enqueue": Entry("farm.cli.enqueue", "Enqueue a job."),
    "status": Entry("farm.cli.status", "Show hosts, queues and what waits for what."),
    "scale": Entry("farm.cli.scale", "Say how many hosts there should be, for whoever starts and ends them."),
    "host": Entry("farm.cli.host", "Show one host and its processes, and steer it."),
    "job": Entry("farm.cli.job", "Show one job: where it is and why."),
    "jobs": Entry("farm.cli.jobs", "List jobs: where each is, and what it waits for."),
    "usage": Entry("farm.cli.usage", "Show what jobs use: CPU, memory and time, by function."),
    "cancel": Entry("farm.cli.cancel", "Keep jobs from running, or stop them."),
    "requeue": Entry("farm.cli.requeue", "Enqueue failed jobs anew."),
    "quarantine": Entry("farm.cli.quarantine", "Show, requeue or drop jobs whose records cannot be read."),
    "drain": Entry("farm.cli.drain", "Have a host take no more jobs, and end if you want."),
    "resume": Entry("farm.cli.resume", "Have a drained host take jobs again."),
    "capacity": Entry("farm.cli.capacity", "Say how many jobs fit on a machine, and how many hosts a rate needs."),
    "doctor": Entry("farm.cli.doctor", "Check Redis and the farm in it, and say the remedies."),
    "events": Entry("farm.cli.events", "Show what happened in the farm."),
    "redis": Entry("farm.cli.redis", "Send commands to the Redis in use, as redis-cli does."),
    "settings": Entry("farm.cli.settings", "Show each setting, its value, and where that came from."),
    "demo": Entry("farm.cli.demo", "See the farm at work, with a Redis of its own."),
}

EXAMPLES = """
\b
Examples:
  farm up                                       a whole farm on this machine
  farm worker high default --app calls          a host for two queues
  farm enqueue calls.resize picture.png         a job from the shell
  farm status                                   what runs where
  FARM_REDIS_URL=redis://db:6379/0 farm events  another Redis
"""


class CommandTable(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (the signature is click's)
        """Names of the commands, in the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command. A module that cannot be imported is an error of the installation, and is shown as one."""
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name].module).command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, told without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; errors of the farm end it with one line and a code."""
        with told_in_one_line():
            return super().invoke(ctx)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from farm.version import __version__  # noqa: PLC0415 (reading metadata takes longer than parsing)

    click.echo(
        f"farm {__version__} (rq {version('rq')}, redis-py {version('redis')}, Python {platform.python_version()})"
    )
    ctx.exit()


@click.group(cls=CommandTable, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show versions and exit.",
)
def command_line() -> None:
    """A worker farm for RQ: warmed processes, placement by load, deferral instead of loss.

    `farm COMMAND --help` tells about one command. Settings come from options, FARM_* variables and the app;
    `farm settings` shows them.
    """
