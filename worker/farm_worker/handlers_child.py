"""The body of the handlers process: `python -P -m farm_worker.handlers_child STREAM_FD`.

It imports the app and calls the functions that the app declared with `@app.on`, one event after another. It takes no
jobs.
"""

import asyncio
import inspect
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from farm.app import App, takes_argument
from farm.app_import import import_app
from farm.event import Event
from farm.facts import read_from
from farm_worker.pool.entry import enter
from farm_worker.pool.failure import last_lines, summarize
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.protocol import EventHandled, HandleEvent, HandlerCalled, Ready
from farm_worker.pool.surroundings import use_path

ERROR_CHARACTERS = 4000
"""Of a traceback, its end."""


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the host closed the stream or is gone."""
    entry = enter(int(arguments[0]))
    if entry is None:
        return 0
    use_path(entry.initialize.path)
    read_from(entry.initialize.facts)
    try:
        app = import_app(entry.initialize.app or "")
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    if entry.inlet.send(Ready(os.getpid(), time.monotonic() - entry.begun)):
        _serve(entry.inlet, app, entry.initialize.host)
    entry.output.finish()
    return 0


def _serve(inlet: Inlet, app: App, host: str) -> None:
    with asyncio.Runner() as runner:
        while isinstance(message := inlet.receive(), HandleEvent):
            errors: list[str] = []
            for handler in _handlers(app, message.name)[message.skip :]:
                inlet.send(HandlerCalled(message.sequence, _name(handler)))
                errors += _call(handler, _event(message, host), runner)
            if not inlet.send(EventHandled(message.sequence, errors)):
                return


def _handlers(app: App, event: str) -> list[Callable[..., Any]]:
    return [handler for name, handlers in app.event_handlers.items() if name == event for handler in handlers]


def _event(message: HandleEvent, host: str) -> Event:
    return Event(name=message.name, at=datetime.fromtimestamp(message.at, UTC), host=host, **message.fields)  # type: ignore[arg-type] # the host knows no others


def _call(handler: Callable[..., Any], event: Event, runner: asyncio.Runner) -> list[str]:
    """What went wrong, if anything did."""
    try:
        made = handler(event) if takes_argument(handler) else handler()
        if inspect.isawaitable(made):
            runner.run(_wait_for(made))
    except BaseException as error:  # noqa: BLE001 - sys.exit in it too must not end the handlers process
        return [f"{_name(handler)} raised {summarize(error)}\n{last_lines(error)[-ERROR_CHARACTERS:]}"]
    return []


def _name(handler: Callable[..., Any]) -> str:
    return f"{handler.__module__}.{handler.__qualname__}" if hasattr(handler, "__qualname__") else repr(handler)


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
