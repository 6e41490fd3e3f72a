"""What the app loads for all processes to come: its preload functions."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from farm.app import App, takes_argument
from farm.context import CurrentProcess
from farm.errors import AppError
from farm_worker.pool.failure import summarize


def preload(app: App, process: CurrentProcess) -> None:
    """Runs the preload functions in the order of their declaration. Raises AppError at the first that fails.

    Where processes are forked, their template calls this once, before the first fork; where they are spawned, each
    process calls it before it warms up. An `async` one runs on a loop of its own, which is closed after it.
    """
    for hook in app.preload_hooks:
        name = name_of(hook)
        try:
            made = hook(process) if takes_argument(hook) else hook()
            if inspect.isgenerator(made) or inspect.isasyncgen(made):
                raise TypeError("it yields, and nothing could run what follows: that is for prewarm functions")
            if inspect.isawaitable(made):
                asyncio.run(wait_for(made))
        except BaseException as error:
            raise AppError(f"preload function {name} raised {summarize(error)}") from error


def name_of(hook: Callable[..., Any]) -> str:
    """`module.function`, for messages."""
    return f"{hook.__module__}.{hook.__qualname__}" if hasattr(hook, "__qualname__") else repr(hook)


async def wait_for(awaitable: Any) -> Any:
    """The coroutine of any awaitable."""
    return await awaitable
