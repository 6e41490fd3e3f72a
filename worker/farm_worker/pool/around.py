"""What the app runs around one job: its `@app.around_job` functions, and the job's own shutdown callbacks."""

import inspect
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from typing import Any

from farm.app import takes_argument
from farm.context import CurrentJob
from farm.errors import AppError
from farm_worker.pool.alarm import Alarm
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.preload import name_of, wait_for
from farm_worker.pool.shares import Shares

CLOSING_SECONDS = 60.0
"""All that follows a job's function has this long: RQ's limit for callbacks."""

Made = Generator[Any, Any, Any] | AsyncGenerator[Any, Any]

_logger = logging.getLogger("farm_worker")


class Around:
    """The functions around one job, as they nest."""

    def __init__(
        self, hooks: Sequence[Callable[..., Any]], job: CurrentJob, coroutines: Coroutines, alarm: Alarm
    ) -> None:
        self._hooks = hooks
        self._job = job
        self._coroutines = coroutines
        self._alarm = alarm
        self._open: list[tuple[str, Made]] = []

    @property
    def is_open(self) -> bool:
        """Whether something is to run after the job."""
        return bool(self._open)

    def enter(self) -> None:
        """Runs each function up to its yield, under the limit that is armed. Raises what they raise."""
        for hook in self._hooks:
            name = name_of(hook)
            made: Made = hook(self._job) if takes_argument(hook) else hook()
            if not self._advance(made, None):
                raise AppError(f"around_job function {name} ended without reaching its yield: the job could not run.")
            self._open.append((name, made))

    def leave(self, error: BaseException | None) -> BaseException | None:
        """Runs the shutdown callbacks, then what follows each yield, the last one first.

        `error`: what the job raised. Returns what it ends with: that, or what a function raised in its place. A
        function that swallows the error does not undo it.
        """
        shares = Shares(min(CLOSING_SECONDS, self._alarm.stops_at - time.monotonic()))
        self._call_back(shares)
        while self._open:
            name, made = self._open.pop()
            trace = error.__traceback__ if error is not None else None
            try:
                with self._alarm.limit(shares.take(len(self._open))):
                    if self._advance(made, error):
                        _logger.warning(
                            "around_job function %s yields twice; what follows the second yield does not run", name
                        )
                        self._close(made)
            except BaseException as raised:  # noqa: BLE001 - it becomes the end of the job
                if error is None or not _is_same(raised, error):
                    error, trace = raised, raised.__traceback__
            if error is not None:
                error.__traceback__ = trace  # without the way through the functions around the job
        return error

    def _call_back(self, shares: Shares) -> None:
        known = len(self._job.shutdown_callbacks or ())
        while callbacks := self._job.shutdown_callbacks:  # one may add another
            callback = callbacks.pop()
            known -= 1
            if known < 0 and shares.used_up:
                _logger.error("no time is left for shutdown callback %s of job %s", name_of(callback), self._job.id)
                continue
            try:
                with self._alarm.limit(shares.take(len(callbacks) + len(self._open))):
                    made = callback()
                    if inspect.isawaitable(made):
                        self._coroutines.run_job(wait_for(made))
            except BaseException:  # sys.exit too must not keep the others from running
                _logger.exception("shutdown callback %s of job %s failed", name_of(callback), self._job.id)

    def _advance(self, made: Made, error: BaseException | None) -> bool:
        """Runs to the next yield; False when there is none."""
        if isinstance(made, AsyncGenerator):
            return self._coroutines.run_job(_advance_async(made, error))
        try:
            if error is None:
                next(made)
            else:
                made.throw(error)
        except StopIteration:
            return False
        return True

    def _close(self, made: Made) -> None:
        if isinstance(made, AsyncGenerator):
            self._coroutines.run_job(made.aclose())
        else:
            made.close()


def _is_same(raised: BaseException, error: BaseException) -> bool:
    """Whether a generator let `error` through. It can't do so with StopIteration as it is."""
    wrapped = isinstance(error, StopIteration | StopAsyncIteration) and isinstance(raised, RuntimeError)
    return raised is error or (wrapped and raised.__cause__ is error)


async def _advance_async(made: AsyncGenerator[Any, Any], error: BaseException | None) -> bool:
    try:
        if error is None:
            await anext(made)
        else:
            await made.athrow(error)
    except StopAsyncIteration:
        return False
    return True
