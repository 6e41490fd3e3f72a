"""The body of the hooks process: `python -P -m farm_worker.hooks_child STREAM_FD`.

It imports the app, describes it, and runs the app's host hooks when the host asks. It takes no jobs.
"""

import asyncio
import inspect
import math
import sys
from collections.abc import Callable
from numbers import Real
from typing import Any

from farm.app import App, takes_argument
from farm.app_import import import_app
from farm.errors import AppError
from farm.facts import from_fields, tell
from farm.runner_declaration import Runner
from farm_worker.offered import Accepting
from farm_worker.pool.entry import enter
from farm_worker.pool.failure import last_lines, summarize
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.offer_messages import AcceptAnswer, CallAccept
from farm_worker.pool.protocol import CallLoad, DescribeApp, LoadAnswer, RunnerOptions
from farm_worker.pool.surroundings import use_path


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the host closed the stream or is gone."""
    entry = enter(int(arguments[0]))
    if entry is None:
        return 0
    use_path(entry.initialize.path)
    try:
        app = _import(entry.initialize.app)
        described = entry.inlet.send(_describe(app))
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    if described:
        _answer(entry.inlet, app, Accepting(app, entry.initialize))
    entry.output.finish()
    return 0


def _import(name: str | None) -> App:
    if name is None:
        raise AppError("no app is named: set FARM_APP or --app to the module that has it.")
    return import_app(name)


def _describe(app: App) -> DescribeApp:
    return DescribeApp(
        options=dict(app.settings),
        queues=app.queues,
        has_load=app.load_hook is not None,
        has_accept=app.accept_hook is not None,
        events=list(app.event_handlers),
        runners=[_runner(runner) for runner in app.runners.values()],
    )


def _runner(runner: Runner) -> RunnerOptions:
    return RunnerOptions(
        name=runner.name,
        copies=runner.copies,
        batch=runner.batch,
        max_waiting=runner.max_waiting,
        initialize_timeout=runner.initialize_timeout,
        memory_limit_mb=runner.memory_limit_mb,
    )


def _answer(inlet: Inlet, app: App, accepting: Accepting) -> None:
    load = app.load_hook
    with asyncio.Runner() as runner:
        while isinstance(question := inlet.receive(), CallLoad | CallAccept):
            if isinstance(question, CallAccept):
                answer: LoadAnswer | AcceptAnswer = accepting.answer(question, runner)
            else:
                value, error = (None, "the app has no load function") if load is None else _load(load, question, runner)
                answer = LoadAnswer(question.sequence, value, error)
            if not inlet.send(answer):
                return


def _load(load: Callable[..., Any], question: CallLoad, runner: asyncio.Runner) -> tuple[float | None, str]:
    """What the user's function says, or why that is of no use."""
    name = f"load function {load.__module__}.{load.__qualname__}" if hasattr(load, "__qualname__") else "load function"
    try:
        facts = from_fields(question.facts)
        tell(facts)
        value = load(facts) if takes_argument(load) else load()
        if inspect.isawaitable(value):
            value = runner.run(_wait_for(value))
    except BaseException as error:  # noqa: BLE001 - sys.exit in it too must not end the hooks process
        return None, f"{name} raised {summarize(error)}\n{last_lines(error)}"
    if isinstance(value, bool) or not isinstance(value, Real):
        return None, f"{name} returned {value!r:.100}, which is no number; it must return 0 to 1"
    number = float(value)
    if math.isnan(number) or not 0 <= number <= 1:
        return None, f"{name} returned {value!r:.100}; it must return 0 to 1"
    return number, ""


async def _wait_for(awaitable: Any) -> Any:
    return await awaitable


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
