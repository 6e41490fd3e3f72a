"""`python -P -m farm_worker`: one host. `farm worker` becomes this, with its flags in the environment."""

from farm.early_stop import end_when_asked

if __name__ == "__main__":
    end_when_asked()  # what follows takes a while

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from farm import logs
from farm.errors import FarmError, RedisError, SettingsError
from farm.flags import hand_over, take_flags
from farm.service_manager import ServiceManager
from farm.store.address import find_state_folder, resolve
from farm.store.connection import check_server, connect, readable_errors
from farm.store.scripts import read_all
from farm.store.server_facts import eviction_warning
from farm.tasks import end
from farm_settings import InvalidSetting, Settings, hide_password, load
from farm_worker.descriptor_limit import raise_limit
from farm_worker.hooks import Hooks
from farm_worker.host import Host
from farm_worker.identity import NameGone
from farm_worker.spool import spool_folder
from farm_worker.stopping import Stopping

EXIT_FAILED, EXIT_USAGE, EXIT_NO_REDIS = 1, 2, 3


def main() -> int:
    """The exit code: 0 asked to stop, 1 failed, 2 a setting cannot be used, 3 no Redis."""
    environment = dict(os.environ)
    try:
        asyncio.run(_run())
    except NameGone as error:
        logs.say(f"{error} This host starts over under another name.", logging.WARNING)
        logs.finish()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 (itself)
    except (InvalidSetting, SettingsError) as error:
        return _say(error, EXIT_USAGE)
    except RedisError as error:
        return _say(error, EXIT_NO_REDIS)
    except FarmError as error:
        return _say(error, EXIT_FAILED)
    return 0


async def _run() -> None:
    stopping = Stopping()
    _listen_to_signals(stopping)
    raise_limit()
    service_manager = ServiceManager.take(os.environ)
    flags = take_flags(os.environ)
    settings = load(flags=flags)
    _configure_logs(settings)
    environment = dict(os.environ)
    hooks = None
    if settings.host.app is not None:
        hooks = await _unless_stopped(stopping, Hooks.start(settings, environment))
        if hooks is None:
            return
        settings = load(flags=flags, app=hooks.app.options)
    read_all()
    url = _connect_once(settings)
    coordinator_environment = _coordinator_environment(settings, url, environment)
    spool = _spool_folder(settings, url, environment)
    host = Host(settings, url, hooks, stopping, environment, coordinator_environment, spool)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, host.recycle)
    _write_pid_file(settings)
    telling = asyncio.create_task(service_manager.keep_told(host.report))
    try:
        with readable_errors(url):
            await host.run()
    finally:
        telling.cancel()
        _hear_no_more_signals()


async def _unless_stopped(stopping: Stopping, starting: Coroutine[Any, Any, Hooks]) -> Hooks | None:
    """None if a stop was requested before it was done: nothing is begun then that would have to be ended."""
    task = asyncio.create_task(starting)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if not task.done():
        logging.getLogger("farm.host").info("asked to stop (%s) while the app was imported", stopping.reason)
        await end([task])
        return None
    return task.result()


def _configure_logs(settings: Settings) -> None:
    """Twice: the app may have settings for logs, and may say something before they are known."""
    logs.configure(settings.logs.log_level, settings.logs.log_format, "host", queued=True)


def _connect_once(settings: Settings) -> str:
    """Says which Redis is used, and that it can be, before anything else starts."""
    address = resolve(settings.redis)
    _configure_logs(settings)
    logs.say(f"Redis: {hide_password(address.url)} ({address.source})")
    for warning in settings.warnings:
        logging.getLogger("farm.host").warning("%s", warning)
    client = connect(address.url)
    check_server(client, address.url)
    with readable_errors(address.url):
        eviction = eviction_warning(client)
    if eviction is not None:
        logging.getLogger("farm.host").warning("%s", eviction)
    client.close()
    return address.url


def _coordinator_environment(settings: Settings, url: str, environment: Mapping[str, str]) -> dict[str, str]:
    """A coordinator that this host starts leads the same farm by the same rules, however they were given."""
    flags = {
        setting.name: value
        for setting, value in settings.values()
        if setting.section in ("lease", "admission", "redis", "logs") and value is not None
    }
    return {**environment, **hand_over({**flags, "redis_url": url})}


def _spool_folder(settings: Settings, url: str, environment: Mapping[str, str]) -> Path | None:
    """None where this user has no folder that outlives a process: outcomes then stay in memory while Redis is away."""
    try:
        return spool_folder(find_state_folder(environment), hide_password(url), settings.redis.prefix)
    except SettingsError:
        return None


def _listen_to_signals(stopping: Stopping) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.signal, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # there is nothing to recycle yet


def _hear_no_more_signals() -> None:
    """The end is near: one more request must not turn a clean end into a death by a signal."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_IGN)


def _write_pid_file(settings: Settings) -> None:
    if settings.host.pid_file:
        Path(settings.host.pid_file).write_text(f"{os.getpid()}\n")


def _say(error: Exception, code: int) -> int:
    logs.say(f"Error: {error}", logging.ERROR)
    return code


if __name__ == "__main__":
    sys.exit(main())
