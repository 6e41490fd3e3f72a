"""The event loop of a process: one for its life, shared by prewarm functions and coroutine jobs.

What an `async` prewarm opened (a database pool, a session) therefore works in the jobs. Tasks that a job leaves behind
are cancelled when it ends, as `asyncio.run` does; tasks that prewarm started stay.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import copy_context
from typing import Any, TypeVar

from farm_worker.pool.alarm import Alarm

Value = TypeVar("Value")

CANCEL_SECONDS = 5.0
"""How long left tasks may take to end after they were cancelled."""


class Coroutines:
    """Runs coroutines to their end, one at a time."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._runner: asyncio.Runner | None = None
        self._task: asyncio.Task[Any] | None = None

    def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Runs a hook's coroutine. Its tasks stay."""
        value: Value = self._loop().run_until_complete(self._begin(coroutine))
        return value

    def run_job(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Runs a job's coroutine under the limit that is armed. Its tasks end with it."""
        loop = self._loop()
        earlier = asyncio.all_tasks(loop)
        task = self._task = self._begin(coroutine)
        self._alarm.interrupt = self._interrupt
        try:
            value: Value = loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise self._alarm.timed_out() or asyncio.CancelledError("the job's task was cancelled") from None
        finally:
            self._alarm.interrupt = None
            self._end_tasks(loop, asyncio.all_tasks(loop) - earlier)
        return value

    def close(self) -> None:
        """Cancels what is left and closes the loop."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._runner is None:
            self._runner = asyncio.Runner()
        return self._runner.get_loop()

    def _begin(self, coroutine: Coroutine[Any, Any, Value]) -> asyncio.Task[Value]:
        return self._loop().create_task(coroutine, context=copy_context())

    def _interrupt(self) -> bool:
        """Asks the job's task to end. Raised in the loop's own code or in another task, an exception would be lost."""
        task, loop = self._task, self._loop()
        if task is None or asyncio.current_task(loop) is task:
            return False
        loop.call_soon_threadsafe(task.cancel)
        return True

    def _end_tasks(self, loop: asyncio.AbstractEventLoop, left: set[asyncio.Task[Any]]) -> None:
        if not left:
            return
        for task in left:
            task.cancel()
        ended, _ = loop.run_until_complete(asyncio.wait(left, timeout=CANCEL_SECONDS))
        for task in ended:
            if not task.cancelled():
                task.exception()  # taken, so that nobody complains that it was never retrieved
