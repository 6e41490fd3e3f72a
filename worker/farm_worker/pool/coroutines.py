"""The event loop of a process: one for its life, shared by prewarm functions and coroutine jobs.

What an `async` prewarm opened (a database pool, a session) therefore works in the jobs. Tasks that a job and the hooks
around it leave behind are cancelled when it ends, as `asyncio.run` does; tasks that prewarm started stay.
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from farm_worker.pool.alarm import Alarm
from farm_worker.pool.punctual_loop import new_event_loop

Value = TypeVar("Value")

CANCEL_SECONDS = 5.0
"""How long left tasks may take to end after they were cancelled."""


class Coroutines:
    """Runs coroutines to their end, one at a time."""

    def __init__(self, alarm: Alarm) -> None:
        self._alarm = alarm
        self._runner: asyncio.Runner | None = None
        self._task: asyncio.Task[Any] | None = None
        self.in_job = False
        """Whether the job that runs has used the loop."""
        self._earlier: set[asyncio.Task[Any]] = set()
        """Tasks that were there before it did."""
        self._stubborn: set[asyncio.Task[Any]] = set()
        """Tasks that were cancelled and would not end."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, made at the first look."""
        return self._loop()

    def run(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Runs a hook's coroutine. Its tasks stay."""
        value: Value = self._loop().run_until_complete(self._begin(coroutine))
        return value

    def run_job(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Runs a coroutine of a job or of what is around it, under the limit that is armed. Its tasks stay.

        Call `end_job` when the job is over.
        """
        loop = self._loop()
        if not self.in_job:
            self._earlier = asyncio.all_tasks(loop)
            self.in_job = True
        task = self._task = self._begin(coroutine)
        self._alarm.interrupt = self._interrupt
        try:
            value: Value = loop.run_until_complete(task)
        except asyncio.CancelledError:
            raise self._alarm.timed_out() or asyncio.CancelledError("the job's task was cancelled") from None
        finally:
            self._alarm.interrupt = None
        return value

    def end_job(self) -> str:
        """Cancels the tasks that the job left. Says which of them would not end; empty when all did."""
        in_job, earlier = self.in_job, self._earlier
        self.in_job, self._earlier, self._task = False, set(), None
        if not in_job:
            return ""
        loop = self._loop()
        return self._end_tasks(loop, asyncio.all_tasks(loop) - earlier)

    def close(self) -> None:
        """Cancels what is left and closes the loop. Where tasks refuse to end, the end of the process closes it."""
        if self._runner is not None:
            loop = self._runner.get_loop()
            self._end_tasks(loop, asyncio.all_tasks(loop) - self._stubborn)
            if not self._stubborn:
                self._runner.close()
            self._runner = None

    def _loop(self) -> asyncio.AbstractEventLoop:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=new_event_loop)
            self._runner.get_loop().set_default_executor(_Threads(thread_name_prefix="asyncio"))
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

    def _end_tasks(self, loop: asyncio.AbstractEventLoop, left: set[asyncio.Task[Any]]) -> str:
        if not left:
            return ""
        for task in left:
            task.cancel()
        ended, stubborn = loop.run_until_complete(asyncio.wait(left, timeout=CANCEL_SECONDS))
        for task in ended:
            if not task.cancelled():
                task.exception()  # taken, so that nobody complains that it was never retrieved
        self._stubborn |= stubborn
        names = ", ".join(sorted(task.get_name() for task in stubborn))
        return f"tasks did not end when they were cancelled: {names}" if names else ""


class _Threads(ThreadPoolExecutor):
    """What `asyncio.to_thread` uses. A loop that is closed waits for it: a thread that hangs must not stop that."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - see above
        super().shutdown(wait=False, cancel_futures=cancel_futures)
