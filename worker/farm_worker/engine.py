"""A host with its pool, and a coordinator, in one process that somebody else owns."""

import asyncio
import os
from collections.abc import Callable

from farm.coordinator.coordinator import Coordinator
from farm.keys import Keys, RqKeys
from farm.store.connection import readable_errors
from farm.store.scripts import read_all
from farm.tasks import end
from farm_settings import Settings
from farm_worker.early_commands import EarlyCommands
from farm_worker.embedding import Embedding
from farm_worker.host import Host
from farm_worker.limits import LimitPace
from farm_worker.pool.caller_template import CallerTemplate
from farm_worker.pool.given import Given
from farm_worker.pool.left_children import adopt_orphans
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.spawn import Spawned
from farm_worker.pool.starter import Starter
from farm_worker.stopping import Stopping

PACE = LimitPace(check_seconds=0.01, burst_idle_seconds=0.0)
"""Who starts a burst has enqueued its jobs, and waits for the end."""


class Engine:
    """Runs once."""

    def __init__(self, settings: Settings, given: Given, template: Spawned, stopping: Stopping) -> None:
        """`template`: forked already, from the program with what it gives."""
        self.took_over = False
        """Whether the template is in the hands of the pool, which ends it."""
        self._settings = settings
        self._given = given
        self._template = template
        self._stopping = stopping
        self._host: Host | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs."""
        return self._host is not None and self._host.is_busy

    @property
    def finished_jobs(self) -> int:
        """Attempts that ended."""
        return self._host.finished_jobs if self._host is not None else 0

    async def run(self, prepare: Callable[[], None]) -> None:
        """Until it was asked to stop, or a limit was reached. Raises FarmError, and what `prepare` raises.

        `prepare` is called once no command can be missed any more, before there is a host. It may block for a moment.
        """
        read_all()
        settings = self._settings
        url = settings.redis.url
        assert url is not None
        commands = EarlyCommands(url, RqKeys(settings.redis.rq_prefix).channel(settings.host.name or ""))
        coordinator = self._coordinator(url)
        listening, leading = asyncio.create_task(commands.run()), asyncio.create_task(coordinator.run())
        try:
            await commands.listening()
            prepare()
            embedding = Embedding(self._starter, PACE, is_prompt=True, commands=commands)
            host = self._host = Host(settings, url, None, self._stopping, dict(os.environ), {}, None, embedding)
            with readable_errors(url):
                await host.run()
        finally:
            coordinator.stop()
            await leading
            await end([listening])
            adopt_orphans(adopts=False)

    def _coordinator(self, url: str) -> Coordinator:
        settings = self._settings
        return Coordinator(
            url,
            Keys(settings.redis.prefix),
            RqKeys(settings.redis.rq_prefix),
            settings.lease,
            settings.admission,
            f"{settings.host.name}-{os.getpid()}",
        )

    def _starter(self, initialize: Callable[[int], Initialize]) -> Starter:
        self.took_over = True
        return CallerTemplate(self._settings.pool, lambda: initialize(0), self._given, self._template)
