"""Warming a process: what the app says of it, its prewarm functions, and what follows their `yield` at the end."""

import inspect
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from farm.app import App, takes_argument
from farm.context import CurrentProcess
from farm.errors import AppError
from farm_worker.pool.alarm import Alarm
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.failure import summarize
from farm_worker.pool.preload import name_of, wait_for
from farm_worker.pool.shares import Shares

_logger = logging.getLogger("farm_worker")


class Warmth:
    """What the prewarm functions opened in this process."""

    def __init__(self, coroutines: Coroutines, alarm: Alarm) -> None:
        self._coroutines = coroutines
        self._alarm = alarm
        self._open: list[tuple[str, Generator[Any, Any, Any] | AsyncGenerator[Any, Any]]] = []

    def warm(self, app: App, process: CurrentProcess) -> None:
        """Asks for the process's arguments, then runs the prewarm functions in the order of their declaration.

        What the app preloads must be there. Raises AppError at the first function that fails.
        """
        self._ask_for_arguments(app, process)
        for hook in app.prewarm_hooks:
            name = name_of(hook)
            try:
                self._run(name, hook, process)
            except BaseException as error:
                raise AppError(f"prewarm function {name} raised {summarize(error)}") from error

    def close(self, close_timeout: float) -> None:
        """Runs what follows each `yield`, the last one first. One that fails, or hangs, does not stop the others.

        All together have a little less than `close_timeout` seconds, after which the host kills the process.
        """
        shares = Shares(min(IN_TIME * close_timeout, self._alarm.stops_at - time.monotonic()))
        while self._open:
            name, generator = self._open.pop()
            try:
                with self._alarm.limit(shares.take(len(self._open))):
                    yields_again = self._advance(generator, at_end=True)
                if yields_again:
                    _logger.warning(
                        "prewarm function %s yields twice; what follows the second yield does not run", name
                    )
            except BaseException:  # sys.exit too must not keep the others from closing
                _logger.exception("prewarm function %s failed after its yield", name)
        self._coroutines.close()

    def _ask_for_arguments(self, app: App, process: CurrentProcess) -> None:
        hook = app.arguments_hook
        if hook is None:
            return
        try:
            made = hook(process) if takes_argument(hook) else hook()
            process.arguments = self._coroutines.run(wait_for(made)) if inspect.isawaitable(made) else made
        except BaseException as error:
            raise AppError(f"arguments function {name_of(hook)} raised {summarize(error)}") from error

    def _run(self, name: str, hook: Callable[..., Any], process: CurrentProcess) -> None:
        made = hook(process) if takes_argument(hook) else hook()
        if inspect.isgenerator(made) or inspect.isasyncgen(made):
            if not self._advance(made):
                raise TypeError(f"{name} ended without reaching its yield")
            self._open.append((name, made))
        elif inspect.isawaitable(made):
            self._coroutines.run(wait_for(made))

    def _advance(self, generator: Generator[Any, Any, Any] | AsyncGenerator[Any, Any], at_end: bool = False) -> bool:
        """Runs to the next `yield`; False when there is none. `at_end`: a limit is armed."""
        if isinstance(generator, AsyncGenerator):
            return (self._coroutines.run_job if at_end else self._coroutines.run)(_next(generator))
        return next(generator, _END) is not _END


_END = object()

IN_TIME = 0.8
"""The part of CLOSE_TIMEOUT that the functions have: the rest is for what the process itself does at its end."""


async def _next(generator: AsyncGenerator[Any, Any]) -> bool:
    return await anext(generator, _END) is not _END
