"""Hears that something was placed in this host's inbox."""

from farm.store.bells import RESERVED
from farm.store.connection import REDIS_ERRORS, connect_async
from farm.store.line import Line
from farm.store.waking import BLOCK_SECONDS, wait_for_bell
from farm_worker.execution import Execution
from farm_worker.reservations import Reservations


class Bell:
    """Waits on its own connection, as a blocking command holds one."""

    def __init__(self, redis_url: str, key: str, execution: Execution, reservations: Reservations) -> None:
        self._redis_url = redis_url
        self._key = key
        self._execution = execution
        self._reservations = reservations

    async def run(self) -> None:
        """Until cancelled. While Redis is away the beat says so; its answer carries the inbox's length as well."""
        client = connect_async(self._redis_url, name="farm-host-bell")
        line = Line(client)
        try:
            while True:
                try:
                    is_news = not self._execution.has_work_ahead
                    await self._execution.is_short.wait()
                    rung = await wait_for_bell(line, self._key, BLOCK_SECONDS)
                    if rung:  # what was rung before it may be lost, so each ring may mean that something was placed
                        self._execution.placed(max(1, self._execution.inbox), is_news=is_news)
                    if rung == RESERVED:
                        await self._reservations.look()
                except REDIS_ERRORS:
                    await self._execution.contact.wait_to_listen()
        finally:
            line.close()
            await client.aclose()
