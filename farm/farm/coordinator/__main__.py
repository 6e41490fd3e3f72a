"""`python -P -m farm.coordinator`: the process of one coordinator. `farm coordinator` and hosts start it isolated."""

import asyncio
import logging
import os
import signal
import socket
import sys

from farm import logs
from farm.coordinator.coordinator import Coordinator
from farm.coordinator.parent import end_with_parent
from farm.errors import FarmError, RedisRefused
from farm.flags import take_flags
from farm.keys import Keys, RqKeys
from farm.store.address import resolve
from farm_settings import InvalidSetting, Settings, hide_password, load

OK, FAILED, USAGE, NO_REDIS = 0, 1, 2, 3

CHILD_VARIABLE = "FARM_COORDINATOR_CHILD"
"""Set to 1 by the host that started this process: it ends when another coordinator leads, and with its parent."""


def main() -> int:
    """The exit code: 0 asked to stop, 2 for settings that cannot be used, 3 when Redis refuses the login."""
    is_child = os.environ.pop(CHILD_VARIABLE, "") == "1"
    try:
        settings = load(flags=take_flags(os.environ))
    except InvalidSetting as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    name = f"{socket.gethostname().replace(':', '-')}-{os.getpid()}"
    logs.configure(settings.logs.log_level, settings.logs.log_format, "coordinator", queued=True)
    try:
        asyncio.run(_run(settings, name, is_child))
    except RedisRefused as error:
        logs.say(f"Error: {error}", logging.ERROR)
        return NO_REDIS
    except FarmError as error:
        logs.say(f"Error: {error}", logging.ERROR)
        return FAILED
    return OK


async def _run(settings: Settings, name: str, is_child: bool) -> None:
    address = resolve(settings.redis)
    if not is_child:
        logs.say(f"Redis: {hide_password(address.url)} ({address.source})")
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
    try:
        await coordinator.run(give_up_to_others=is_child)
    finally:
        if watching is not None:
            watching.cancel()


if __name__ == "__main__":
    sys.exit(main())
