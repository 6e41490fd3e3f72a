"""The host's tenure: its registration, the beats that renew it, and what follows when it was given up."""

import asyncio
import logging
import random
from collections.abc import Callable

from farm.ending import Ending
from farm.errors import HostFenced, NameInUse
from farm.store.connection import REDIS_ERRORS
from farm.store.hosts import BeatAnswer, HostStore, Registration
from farm.tasks import end
from farm_worker import identity
from farm_worker.execution import Execution
from farm_worker.heartbeat import Heartbeat
from farm_worker.identity import NameGone
from farm_worker.pool.reasons import Reason
from farm_worker.settlement import count_refused

REGISTER_AGAIN_SECONDS = 1.0

_logger = logging.getLogger("farm.host")


class Tenure:
    """Under which identity this host holds its leases, if it does."""

    def __init__(self, store: HostStore, name: str | None, on_answer: Callable[[BeatAnswer], None]) -> None:
        """`name`: the one asked for; None lets the host choose. `on_answer` gets what Redis says to each beat."""
        self.who: Registration | None = None
        """None while this host has been given up and has not registered anew."""
        self.name = name or ""
        """The name it registered under. It keeps it when it has to register anew."""
        self.fenced = asyncio.Event()
        """Set by whoever is told by Redis that this identity is not current."""
        self._is_given = name is not None
        self._store = store
        self._on_answer = on_answer

    async def begin(self) -> Registration:
        """Registers. Raises NameInUse and redis-py's errors."""
        self.who = await identity.register(self._store, self.name or None)
        self.name = self.who.host
        return self.who

    async def run(self, heartbeat: Heartbeat, execution: Execution) -> None:
        """Beats until cancelled; registers anew after it was given up."""
        beats = asyncio.create_task(heartbeat.run(self._current, self._on_answer))
        try:
            while True:
                fenced = asyncio.create_task(self.fenced.wait())
                await asyncio.wait([beats, fenced], return_when=asyncio.FIRST_COMPLETED)
                fenced.cancel()
                if beats.done() and not isinstance(beats.exception(), HostFenced):
                    await beats
                late = self._give_up(execution)
                await end([beats])
                late += execution.begin(await self._begin_again())
                beats = asyncio.create_task(heartbeat.run(self._current, self._on_answer))
                await self._count(late)
        finally:
            await end([beats])

    async def beat(self, heartbeat: Heartbeat) -> None:
        """One beat, now. One that fails is made up for by the next regular one."""
        who = self.who
        if who is None:
            return
        try:
            self._on_answer(await heartbeat.beat(who))
        except HostFenced:
            if who is self.who:
                self.fenced.set()
        except REDIS_ERRORS as error:
            _logger.debug("no beat: %s", error)

    def _give_up(self, execution: Execution) -> list[Ending]:
        """This host was given up: its jobs run elsewhere, so they stop here before anything else is written.

        Returns the outcomes that come too late.
        """
        _logger.error("this host was given up (no beat for HOST_TIMEOUT): its jobs went back, it registers anew")
        self.who = None
        late = execution.give_up()
        execution.pool.take_back(None)
        for process in execution.pool.processes:
            if process.assignments:
                process.kill(Reason.HOST_LOST)
        return late

    async def _count(self, late: list[Ending]) -> None:
        try:
            await count_refused(self._store, self.name, late)
        except REDIS_ERRORS as error:
            _logger.warning("refused outcomes are not counted: %s", error)

    async def _begin_again(self) -> Registration:
        while self.who is None:
            try:
                self.who = await identity.register(self._store, self.name, again=True)
            except NameInUse as error:
                if self._is_given:
                    raise
                raise NameGone(str(error)) from error
            except REDIS_ERRORS as error:
                _logger.warning("cannot register anew yet: %s", error)
                await asyncio.sleep(REGISTER_AGAIN_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 (jitter)
        self.fenced.clear()
        return self.who

    def _current(self) -> Registration:
        assert self.who is not None
        return self.who
