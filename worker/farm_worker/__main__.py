"""`python -P -m farm_worker`: one host. `farm worker` becomes this, with its flags in the environment."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from farm import logs
from farm.errors import FarmError, RedisError, SettingsError
from farm.flags import hand_over, take_flags
from farm.store.address import find_state_folder, resolve
from farm.store.connection import check_version, connect, readable_errors
from farm_settings import InvalidSetting, Settings, hide_password, load
from farm_worker.descriptor_limit import raise_limit
from farm_worker.hooks import Hooks
from farm_worker.host import Host
from farm_worker.spool import spool_folder

EXIT_FAILED, EXIT_USAGE, EXIT_NO_REDIS = 1, 2, 3


def main() -> int:
    """The exit code: 0 asked to stop, 1 failed, 2 a setting cannot be used, 3 no Redis."""
    try:
        asyncio.run(_run())
    except (InvalidSetting, SettingsError) as error:
        return _say(error, EXIT_USAGE)
    except RedisError as error:
        return _say(error, EXIT_NO_REDIS)
    except FarmError as error:
        return _say(error, EXIT_FAILED)
    return 0


async def _run() -> None:
    raise_limit()
    flags = take_flags(os.environ)
    settings = load(flags=flags)
    _configure_logs(settings)
    environment = dict(os.environ)
    hooks = None
    queue_options = {}
    if settings.host.app is not None:
        hooks = await Hooks.start(settings, environment)
        queue_options = hooks.app.queues
        settings = load(flags=flags, app=hooks.app.options)
    url = _connect_once(settings)
    coordinator_environment = _coordinator_environment(settings, url, environment)
    spool = _spool_folder(settings, url, environment)
    host = Host(settings, url, hooks, queue_options, environment, coordinator_environment, spool)
    _listen_to_signals(host)
    _write_pid_file(settings)
    try:
        await host.run()
    finally:
        _hear_no_more_signals()


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
    with readable_errors(address.url):
        check_version(client.info("server"), address.url)
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


def _listen_to_signals(host: Host) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, host.stopping.signal, signal.Signals(number).name)
    loop.add_signal_handler(signal.SIGHUP, host.recycle)


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
