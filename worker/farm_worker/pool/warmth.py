"""Warming a process: the app's prewarm functions before the first job, what follows their `yield` after the last."""

import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from farm.app import App, takes_argument
from farm.context import CurrentProcess
from farm.errors import AppError
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.failure import summarize

_logger = logging.getLogger("farm_worker")


class Warmth:
    """What the prewarm functions opened in this process."""

    def __init__(self, coroutines: Coroutines) -> None:
        self._coroutines = coroutines
        self._open: list[tuple[str, Generator[Any, Any, Any] | AsyncGenerator[Any, Any]]] = []

    def warm(self, app: App, process: CurrentProcess) -> None:
        """Runs the prewarm functions in the order of their declaration. Raises AppError at the first that fails."""
        for hook in app.prewarm_hooks:
            name = f"{hook.__module__}.{hook.__qualname__}" if hasattr(hook, "__qualname__") else repr(hook)
            try:
                self._run(name, hook, process)
            except BaseException as error:
                raise AppError(f"prewarm function {name} raised {summarize(error)}") from error

    def close(self) -> None:
        """Runs what follows each `yield`, the last one first. One that fails does not stop the others."""
        while self._open:
            name, generator = self._open.pop()
            try:
                if self._advance(generator):
                    _logger.warning(
                        "prewarm function %s yields twice; what follows the second yield does not run", name
                    )
            except BaseException:  # sys.exit too must not keep the others from closing
                _logger.exception("prewarm function %s failed after its yield", name)
        self._coroutines.close()

    def _run(self, name: str, hook: Callable[..., Any], process: CurrentProcess) -> None:
        made = hook(process) if takes_argument(hook) else hook()
        if inspect.isgenerator(made) or inspect.isasyncgen(made):
            if not self._advance(made):
                raise TypeError(f"{name} ended without reaching its yield")
            self._open.append((name, made))
        elif inspect.isawaitable(made):
            self._coroutines.run(_wait_for(made))

    def _advance(self, generator: Generator[Any, Any, Any] | AsyncGenerator[Any, Any]) -> bool:
        """Runs to the next `yield`; False when there is none."""
        if isinstance(generator, AsyncGenerator):
            return self._coroutines.run(_next(generator))
        return next(generator, _END) is not _END


_END = object()


async def _next(generator: AsyncGenerator[Any, Any]) -> bool:
    return await anext(generator, _END) is not _END


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable
