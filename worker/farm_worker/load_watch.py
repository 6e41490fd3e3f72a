"""What the host knows of its load at a beat: the newest sample, what the app's load function says, what is amiss."""

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from farm.facts import HostFacts
from farm_settings import Settings
from farm_worker.hooks import Hooks
from farm_worker.load.facts import Facts
from farm_worker.load.sampler import Sampler
from farm_worker.load.sampling import Sampling
from farm_worker.pool.pool import Pool
from farm_worker.user_load import UserLoad

PATIENCE_SECONDS = 0.05
"""A beat waits this long for its sample, which takes about one; a later one counts at the next beat."""
NOTHING_MEASURED = Facts(0.0, 0.0, 0.0, 0.0, 1.0, 0, 0, measured=False)


class LoadWatch:
    """Neither a source of the load that blocks nor a load function that hangs keeps a beat waiting."""

    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        hooks: Hooks | None,
        extra_pids: Callable[[], Sequence[int]],
        on_news: Callable[[], None],
    ) -> None:
        """Begins to measure. `extra_pids`: processes of the host beside those that run jobs."""
        self.facts = NOTHING_MEASURED
        """As of the last look, with what the pool says of itself."""
        self._pool = pool
        self._extra_pids = extra_pids
        self._decides = settings.admission.threshold < 1
        self._users: UserLoad | None = None
        if hooks is not None and hooks.app.has_load:
            self._users = UserLoad(hooks, settings.lease.heartbeat_interval, on_news)
        self._users_load: float | None = None
        self._users_error = ""
        self._on_news = on_news
        self._sampled = asyncio.Event()
        self._is_waiting = False
        loop = asyncio.get_running_loop()

        def tell(is_news: bool) -> None:
            with suppress(RuntimeError):  # the host has ended meanwhile
                loop.call_soon_threadsafe(self._hear, is_news)

        sampler = Sampler(memory_threshold=settings.admission.memory_threshold)
        self._sampling = Sampling(sampler, [os.getpid()], tell)

    @property
    def is_users(self) -> bool:
        """Whether the load is what the app says."""
        return self._users is not None

    @property
    def is_unknown(self) -> bool:
        """Whether nothing was measured yet, or the app was not heard yet, so that nothing can be decided."""
        if self._users is not None:
            return self._users_load is None and not self._users_error
        return self._sampling.facts is None or (self._decides and not self._sampling.facts.measured)

    @property
    def starting(self) -> bool:
        """Whether what the host itself uses is still for its start, and no load."""
        return self._sampling.starting

    @starting.setter
    def starting(self, starting: bool) -> None:
        self._sampling.starting = starting

    async def look(self, told: Callable[[Facts], HostFacts]) -> tuple[Facts, float, str | None]:
        """The facts, the load, and why that is not known, if it is not. `told`: what a load function is told."""
        self._sampling.own_pids = [os.getpid(), *self._pool.pids, *self._extra_pids()]
        await self._sample()
        error = self._sampling.error
        self.facts = self._complete(self._sampling.facts or NOTHING_MEASURED)
        if self._users is None:
            return self.facts, self.facts.load, error
        answer = await self._users.ask(dataclasses.asdict(told(self.facts)))
        self.facts = self._complete(self.facts)  # the pool went on meanwhile
        if answer is not None:
            self._users_load, self._users_error = answer.value, answer.error
        return self.facts, self._users_load or 0.0, error or self._users_error or None

    async def close(self) -> None:
        """Measures and asks no more."""
        if self._users is not None:
            await self._users.close()
        self._sampling.close()

    async def _sample(self) -> None:
        self._sampled.clear()
        if self._sampling.ask(time.monotonic()):
            self._is_waiting = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._sampled.wait(), PATIENCE_SECONDS)
            self._is_waiting = False

    def _hear(self, is_news: bool) -> None:
        self._sampled.set()
        if is_news and not self._is_waiting:
            self._on_news()

    def _complete(self, facts: Facts) -> Facts:
        pool = self._pool
        source = "app" if self._users is not None else facts.load_source
        sources = {**facts.sources, "load": "the app's load function"} if self._users is not None else facts.sources
        return dataclasses.replace(
            facts,
            slots=pool.slots,
            busy=pool.busy,
            jobs=pool.running,
            idle=pool.idle,
            load_source=source,
            sources=sources,
        )
