"""`python -P -m farm.coordinator`: the process of one coordinator. `farm coordinator` and hosts start it isolated."""

from farm.early_stop import end_when_asked

if __name__ == "__main__":
    end_when_asked()  # what follows takes a while

import asyncio
import logging
import os
import signal
import socket
import sys

from farm import logs
from farm.coordinator.coordinator import Coordinator
from farm.coordinator.parent import end_with_parent
from farm.errors import FarmError, RedisRefused, RedisUnavailable
from farm.flags import take_flags
from farm.keys import Keys, RqKeys
from farm.service_manager import ServiceManager
from farm.store.address import resolve
from farm.store.connection import connect, readable_errors
from farm.store.scripts import read_all
from farm.store.server_facts import eviction_warning
from farm_settings import InvalidSetting, Settings, hide_password, load

OK, FAILED, USAGE, NO_REDIS = 0, 1, 2, 3

CHILD_VARIABLE = "FARM_COORDINATOR_CHILD"
"""Set to 1 by the host that started this process: it ends when another coordinator leads, and with its parent."""


def main() -> int:
    """The exit code: 0 asked to stop, 2 for settings that cannot be used, 3 when Redis refuses the login."""
    is_child = os.environ.pop(CHILD_VARIABLE, "") == "1"
    service_manager = ServiceManager.take(os.environ)
    try:
        settings = load(flags=take_flags(os.environ))
    except InvalidSetting as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    name = f"{socket.gethostname().replace(':', '-')}-{os.getpid()}"
    logs.configure(settings.logs.log_level, settings.logs.log_format, "coordinator", queued=True)
    try:
        asyncio.run(_run(settings, name, is_child, service_manager))
    except RedisRefused as error:
        logs.say(f"Error: {error}", logging.ERROR)
        return NO_REDIS
    except FarmError as error:
        logs.say(f"Error: {error}", logging.ERROR)
        return FAILED
    return OK


async def _run(settings: Settings, name: str, is_child: bool, service_manager: ServiceManager) -> None:
    read_all()
    address = resolve(settings.redis)
    if not is_child:
        logs.say(f"Redis: {hide_password(address.url)} ({address.source})")
    _check_redis(address.url, warns=not is_child)  # the host that started a child has warned
    coordinator = Coordinator(
        address.url,
        Keys(settings.redis.prefix),
        RqKeys(settings.redis.rq_prefix),
        settings.lease,
        settings.admission,
        name,
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, coordinator.stop)
    watching = end_with_parent(coordinator.stop) if is_child else None
    telling = asyncio.create_task(service_manager.keep_told(coordinator.report))
    try:
        await coordinator.run(give_up_to_others=is_child)
    finally:
        telling.cancel()
        if watching is not None:
            watching.cancel()


def _check_redis(url: str, warns: bool) -> None:
    """Raises RedisRefused. A Redis that does not answer is waited for."""
    try:
        with readable_errors(url), connect(url) as client:
            client.ping()
            warning = eviction_warning(client) if warns else None
            if warning is not None:
                logs.say(f"Warning: {warning}", logging.WARNING)
    except RedisUnavailable:
        pass


if __name__ == "__main__":
    sys.exit(main())
