"""`farm up`: a whole farm in one terminal, for development and for a single machine."""

import os
import re
import socket
from contextlib import ExitStack

import click

from farm.cli.session import open_session
from farm.flags import hand_over
from farm.isolation import isolated_command, isolated_environment
from farm.redis_server import RedisServer
from farm.store.address import find_state_folder, left_for_others
from farm.up.child import Child
from farm.up.sources import FILE_LIMIT, Sources
from farm.up.supervisor import NAME, Supervisor
from farm.up.terminal import Terminal
from farm_settings import Settings, hide_password, load

EXAMPLES = """
\b
Examples:
  farm up                        a farm for the queue `default`, with a Redis of its own
  farm up high low --app calls   two queues, and the App in calls.py
  farm up --hosts 3              three hosts, to see jobs placed between them
"""


@click.command(epilog=EXAMPLES)
@click.argument("queues", metavar="[QUEUE ...]", nargs=-1)
@click.option("--hosts", "host_count", type=click.IntRange(1, 64), default=1, show_default=True, help="Hosts to run.")
@click.option("--app", metavar="MODULE", help="Module with the App: prewarm, hooks, entrypoint.")
@click.option("--tcp", is_flag=True, help="Redis on a port of this machine, with a password, instead of a socket.")
def command(queues: tuple[str, ...], host_count: int, app: str | None, tcp: bool) -> None:
    """Start Redis, a coordinator and hosts in this terminal, and keep them running until Ctrl-C.

    The data of this Redis stays on disk between runs. With FARM_REDIS_URL set, that Redis is used and none is started.
    Other commands of the same user find it by themselves. Saving a .py file replaces the processes that run jobs.

    Ctrl-C lets running jobs end; a second one gives them back at once; jobs that wait stay in Redis.
    """
    flags: dict[str, object] = {"queues": queues or None, "app": app, "standby_coordinator": False}
    settings = load(flags=flags)
    if tcp and settings.redis.url:
        raise click.UsageError("--tcp is for a Redis of its own, but FARM_REDIS_URL names one. Leave one of them out.")
    state_folder = find_state_folder(os.environ)
    terminal = Terminal(os.environ)
    with ExitStack() as stack:
        server = None
        if settings.redis.url:
            open_session().redis_client.close()
            url = settings.redis.url
        else:
            server = stack.enter_context(RedisServer(state_folder / "redis", tcp=tcp))
            url = server.url
        stack.enter_context(left_for_others(url, state_folder))
        environ = {**os.environ, "FARM_REDIS_URL": url}
        coordinator = _child("coordinator", "farm.coordinator", environ, {})
        names = _host_names(settings, host_count, private=server is not None)
        hosts = [_child(name, "farm_worker", environ, flags | {"name": name}) for name in names]
        terminal.register(NAME, coordinator.name, *(host.name for host in hosts))
        supervisor = Supervisor(terminal, coordinator, hosts, _watched(terminal, settings), server)
        with supervisor.hears_requests():
            _introduce(terminal, settings, url, server)
            supervisor.run()
    terminal.line(NAME, "stopped" if server is None else f"stopped; the data is kept in {server.folder}")


def _host_names(settings: Settings, count: int, *, private: bool) -> list[str]:
    """On a shared Redis the names tell the machine: other machines may run `farm up` too."""
    machine = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())
    base = settings.host.name or ("up" if private else f"{machine}-up")
    return [f"{base}-{number}" for number in range(1, count + 1)]


def _child(name: str, module: str, environ: dict[str, str], flags: dict[str, object]) -> Child:
    """A module of ours, isolated from the user's folders. Flags that were not given are left to it."""
    given = {setting: value for setting, value in flags.items() if value is not None}
    isolated = isolated_environment({**environ, **hand_over(given)})
    return Child(name, isolated_command(module, [], isolated), isolated)


def _introduce(terminal: Terminal, settings: Settings, url: str, server: RedisServer | None) -> None:
    """Which Redis this is, unless that was said already, and what to do next in a second terminal."""
    if server is not None:
        click.echo(f"Redis: {hide_password(url)} (private, data kept in {server.folder})", err=True)
        for warning in settings.warnings:
            click.echo(f"Warning: {warning}", err=True)
    terminal.leave_out(f"Redis: {hide_password(url)} ")  # each child says it
    queue = settings.host.queues[0]
    option = "" if queue == "default" else f" --queue {queue}"
    shown = hide_password(url) if server is None else url
    terminal.text(
        "\nIn a second terminal:\n"
        f"  farm enqueue{option} time.sleep 1\n"
        "  farm status\n"
        "With plain rq:\n"
        f'  Queue("{queue}", connection=Redis.from_url("{shown}")).enqueue("time.sleep", 1)\n'
    )


def _watched(terminal: Terminal, settings: Settings) -> Sources:
    sources = Sources(settings.host.path)
    if not sources.complete:
        terminal.line(NAME, f"more than {FILE_LIMIT} Python files here: changes are noticed in the first ones only")
    return sources
