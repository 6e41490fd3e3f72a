"""What RQ calls of a job that ended without its process: callbacks, exception handlers, webhooks.

That is the user's code, so it runs in a process, of a pool apart: no job waits for it. The process starts when there is
something to do, and closes when there was nothing for a while. What is to be done stays in Redis until it is.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from farm.store.connection import REDIS_ERRORS
from farm.store.follow_ups import TAKEN_SECONDS, FollowUp, FollowUpStore
from farm_settings import Settings
from farm_worker.beginnings import CALLBACK_TIMEOUT_SECONDS, field
from farm_worker.drain import StopLimit
from farm_worker.execution import Execution
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.pool import Pool
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import ProcessEnd

LOOK_SECONDS = 5.0
"""How often a host asks for what others left."""
SOON_SECONDS, SOON_INTERVAL_SECONDS = 3.0, 0.1
"""After a process of this host ended under a job: its outcome is on its way to Redis."""
BESIDE_CALLBACK_SECONDS = 120.0
"""For exception handlers and webhooks."""
LONGEST_SECONDS = TAKEN_SECONDS - 60.0
"""After this the process is killed: somebody else may take it then."""
SETTLE_SECONDS = 5.0
"""What takes longer when a host stops is begun anew, by another host."""
CLOSE_SECONDS = 1.0

_logger = logging.getLogger("farm.follow_ups")


class FollowUps:
    """One at a time, as long as the host lives."""

    def __init__(
        self,
        store: FollowUpStore,
        execution: Execution,
        settings: Settings,
        initialize: Callable[[int], Initialize],
        environment: Mapping[str, str] | None,
        on_end: Callable[[ProcessEnd], None],
    ) -> None:
        """`initialize` makes the first message of a process, `on_end` hears how one ended."""
        self._store = store
        self._execution = execution
        self._queues = settings.host.queues
        self._has_handlers = bool(settings.jobs.exception_handlers)
        self._on_end = on_end
        self._ready = asyncio.Event()
        self._over = asyncio.Event()
        self._is_done = False
        self._current: FollowUp | None = None
        self._soon_until = 0.0
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        # No template: a process is rare here, and one more image of the app would stay for the host's life.
        alone = {"start_method": "spawn", "executor": "process", "process_mode": "reuse"}
        self.pool = Pool(
            settings.pool.model_copy(update=alone),
            slots=1,
            idle_target=0,
            initialize=initialize,
            environment=environment,
            on_outcomes=self._done,
            on_end=self._ended,
            on_change=self._ready.set,
        )

    def hurry(self, begun: Assignment | None) -> None:
        """A process ended, under this job if there was one."""
        if begun is None:
            return
        self._soon_until = time.monotonic() + SOON_SECONDS
        self._settled.clear()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        self.pool.start()
        while True:
            self._wake.clear()
            try:
                await self._take_all()
            except REDIS_ERRORS as error:
                _logger.debug("no follow-ups: %s", error)
                await self._execution.contact.wait()
            if self._settled.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_SECONDS)
            else:
                await asyncio.sleep(SOON_INTERVAL_SECONDS)

    async def settle(self, limit: StopLimit) -> None:
        """The host stops: those of its own jobs are called before, unless that takes too long."""
        if not self._settled.is_set():
            await limit.spend("following jobs up", self._wait_settled(), limit.left(SETTLE_SECONDS))

    async def close(self) -> None:
        """Kills what runs: the next host to ask has it done. An idle process closes what prewarm opened."""
        await self.pool.close(0.0 if self._current else CLOSE_SECONDS)
        if self._current is not None:
            with suppress(*REDIS_ERRORS):
                await self._store.release(self._current)

    async def _wait_settled(self) -> None:
        await self._settled.wait()

    async def _take_all(self) -> None:
        is_all_written = not self._execution.unsettled or time.monotonic() >= self._soon_until
        while (follow_up := await self._store.take(self._queues)) is not None:
            self._current = follow_up
            await self._follow(follow_up)
            self._current = None
        if is_all_written:
            self._settled.set()

    async def _follow(self, follow_up: FollowUp) -> None:
        if self._calls_something(follow_up):
            await self._run(follow_up)
            if not self._is_done:
                await self._store.release(follow_up)
                return
        await self._store.done(follow_up)

    async def _run(self, follow_up: FollowUp) -> None:
        """Returns when its process said that it is done, or ended."""
        assignment = _assignment(follow_up)
        self._is_done = False
        self._over.clear()
        while True:
            self._ready.clear()
            if self.pool.dispatch(assignment, 1):
                break
            await self._ready.wait()
        await self._over.wait()

    def _calls_something(self, follow_up: FollowUp) -> bool:
        fields = follow_up.fields
        if follow_up.kind == "stopped":
            return bool(field(fields, b"stopped_callback_name"))
        names = (b"failure_callback_name", b"webhooks")
        return self._has_handlers or any(field(fields, name) for name in names)

    def _done(self, _outcomes: list[tuple[Assignment, Outcome]]) -> None:
        self._is_done = True
        self._over.set()

    def _ended(self, end: ProcessEnd, begun: Any, unbegun: Sequence[Assignment]) -> None:
        if begun is not None or unbegun:
            self._over.set()
        if end.abnormal:
            _logger.warning("while it followed a job up: %s", end.report())
        self._on_end(end)


def _assignment(follow_up: FollowUp) -> Assignment:
    name = b"stopped_callback_timeout" if follow_up.kind == "stopped" else b"failure_callback_timeout"
    try:
        seconds = float(field(follow_up.fields, name) or CALLBACK_TIMEOUT_SECONDS)
    except ValueError:
        seconds = CALLBACK_TIMEOUT_SECONDS
    return Assignment(
        job_id=follow_up.job_id,
        token=follow_up.token,
        queue=follow_up.queue,
        attempt=1,
        on_lost="rerun",
        timeout=min(seconds + BESIDE_CALLBACK_SECONDS, LONGEST_SECONDS),
        packed=follow_up.packed,
        follow_up=follow_up.kind,
    )
