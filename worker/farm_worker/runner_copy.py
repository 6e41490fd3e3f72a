"""One copy of a runner: a place that is filled with a process, again when that ended, later each time it fails."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from farm.store.process_view import RunnerView
from farm_worker.pool.protocol import Initialize
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.pool.recycling import WarmUps
from farm_worker.runner_process import Patience, RunnerProcess, State

EARLY_END_SECONDS = 10.0
"""A process that ended sooner after it was ready is replaced with a delay, as one that never became ready is."""


class RunnerCopy:
    """Starts processes one after the other, until `close`."""

    def __init__(
        self,
        initialize: Initialize,
        listener: int,
        environment: Mapping[str, str],
        patience: Patience,
        starts: asyncio.Semaphore,
        changed: Callable[[ProcessEnd | None], None],
    ) -> None:
        """`starts` bounds how many initialize at a time. `changed` is called with each end, and when one is ready."""
        self.runner = initialize.runner or ""
        self.failure = ""
        """Why the last process ended, if nobody asked for it and none was ready since."""
        self.settled = asyncio.Event()
        """Set once a process became ready or failed for the first time."""
        self.process: RunnerProcess | None = None
        """None while it waits to be started again."""
        self._initialize = initialize
        self._listener = listener
        self._environment = environment
        self._patience = patience
        self._starts = starts
        self._changed = changed
        self._warm_ups = WarmUps()
        self._count = 0
        self._closing = asyncio.Event()

    @property
    def ready(self) -> bool:
        """It takes calls."""
        return self.process is not None and self.process.state is State.READY

    def view(self) -> RunnerView:
        """What it does now."""
        process = self.process
        return RunnerView(
            runner=self.runner,
            copy=self._initialize.copy,
            pid=process.pid if process else None,
            state=process.state.value if process else "waiting",
            memory=process.memory if process else None,
            restarts=max(0, self._count - 1),
        )

    async def keep(self) -> None:
        """Keeps a process there, until `close`; kills it when cancelled."""
        while not self._closing.is_set():
            await self._wait_for_turn()
            async with self._starts:
                life = self._start()
                if life is not None:
                    await self._until_ready(life)
            if life is not None:
                self._note(await self._lived(life))
            self.settled.set()

    def close(self, reason: Reason) -> None:
        """Ends the process after the call that it does; none follows it."""
        self._closing.set()
        if self.process is not None:
            self.process.close(reason)

    def recycle(self, patience: float) -> None:
        """Replaces the process, after the call that it does or `patience` seconds. Calls that wait notice nothing."""
        self._warm_ups = WarmUps()
        if self.process is not None:
            self.process.close(Reason.RECYCLED)
            asyncio.get_running_loop().call_later(patience, self.process.kill, Reason.RECYCLED)

    async def _wait_for_turn(self) -> None:
        while (left := self._warm_ups.retry_at - time.monotonic()) > 0 and not self._closing.is_set():
            with suppress(TimeoutError):  # looked at again each second: a recycling ends the waiting
                await asyncio.wait_for(self._closing.wait(), min(left, 1.0))

    def _start(self) -> "asyncio.Task[ProcessEnd] | None":
        if self._closing.is_set():
            return None
        self._count += 1
        try:
            self.process = RunnerProcess(self._initialize, self._listener, self._environment, self._patience)
        except OSError as error:
            self._fail(time.monotonic(), f"copy {self._initialize.copy} can't be spawned: {error}")
            self._changed(None)
            return None
        return asyncio.create_task(self.process.run())

    async def _until_ready(self, life: "asyncio.Task[ProcessEnd]") -> None:
        assert self.process is not None
        ready = asyncio.create_task(self.process.ready.wait())
        try:
            await asyncio.wait([ready, life], return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await _end(life)
            raise
        finally:
            ready.cancel()
        if self.process.ready.is_set():
            self.failure = ""
            self.settled.set()
            self._changed(None)

    async def _lived(self, life: "asyncio.Task[ProcessEnd]") -> ProcessEnd:
        try:
            return await asyncio.shield(life)
        except asyncio.CancelledError:
            await _end(life)
            raise

    def _note(self, end: ProcessEnd) -> None:
        process, self.process = self.process, None
        assert process is not None
        if end.abnormal:
            served = 0.0 if process.ready_at is None else time.monotonic() - process.ready_at
            if served >= EARLY_END_SECONDS:
                self._warm_ups = WarmUps()
                self.failure = end.sentence()
            else:
                self._fail(process.spawned_at, end.sentence())
        self._changed(end)

    def _fail(self, spawned_at: float, error: str) -> None:
        self.failure = error
        jitter = random.random()  # noqa: S311  spreads load, guards nothing
        self._warm_ups = self._warm_ups.after_failure(spawned_at, time.monotonic(), error, jitter)


async def _end(life: "asyncio.Task[ProcessEnd]") -> None:
    life.cancel()
    await asyncio.wait([life])
