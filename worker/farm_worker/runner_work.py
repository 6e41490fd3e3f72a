"""What one copy of a runner does with its calls: data in, the user's `run`, result or error out."""

import asyncio
import inspect
import pickle
from collections.abc import Awaitable, Iterable, Sequence
from typing import Any

from farm.errors import AppError
from farm.runner_declaration import Runner
from farm.runner_frames import Kind, Parts, TooLarge, pickled, unpickled
from farm_worker.pool.failure import full_text, summarize

Answer = tuple[Kind, Parts]


class Work:
    """One object of the runner's class, and the event loop that stays with it."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._name = f"{runner.kind.__module__}.{runner.kind.__qualname__}"
        self._loop = asyncio.Runner()
        self._object: Any = None

    def initialize(self) -> None:
        """Makes the object and lets it load what it needs. Raises AppError."""
        try:
            self._object = self._runner.kind()
            if hasattr(self._object, "initialize"):
                self._finished(self._object.initialize())
        except BaseException as error:
            raise AppError(f"runner {self._runner.name!r} ({self._name}) raised {summarize(error)}") from error

    def do(self, calls: Sequence[Sequence[bytearray]]) -> list[Answer]:
        """An answer for each of the calls, of which there are at most the batch. Raises nothing."""
        answers: dict[int, Answer] = {}
        data: dict[int, Any] = {}
        for number, parts in enumerate(calls):
            try:
                data[number] = unpickled(parts)
            except BaseException as error:  # noqa: BLE001 - unpickling runs the user's code
                answers[number] = refused(f"the data can't be unpickled in the runner: {summarize(error)}")
        if data:
            answers.update(zip(data, self._run(list(data.values())), strict=True))
        return [answers[number] for number in range(len(calls))]

    def close(self) -> None:
        """Ends the event loop."""
        self._loop.close()

    def _run(self, data: list[Any]) -> Iterable[Answer]:
        batched = self._runner.batch > 1
        try:
            returned = self._finished(self._object.run(data if batched else data[0]))
        except BaseException as error:  # noqa: BLE001 - sys.exit in it too must not end the runner
            return [raised(error)] * len(data)
        if not batched:
            return [self._returned(returned)]
        if not isinstance(returned, (list, tuple)) or len(returned) != len(data):
            many = f" of {len(returned)}" if isinstance(returned, (list, tuple)) else ""
            text = f"a list with a result for each of the {len(data)} data that it got"
            return [refused(f"{self._name}.run returned a {type(returned).__name__}{many}, not {text}.")] * len(data)
        return [self._returned(value) for value in returned]

    def _returned(self, value: object) -> Answer:
        try:
            return Kind.VALUE, pickled(value)
        except TooLarge as error:
            return refused(f"the result has {error}.")
        except BaseException as error:  # noqa: BLE001 - pickling runs the user's code
            return refused(f"its result of type {type(value).__name__} can't be pickled: {summarize(error)}")

    def _finished(self, value: Any) -> Any:
        return self._loop.run(_wait_for(value)) if inspect.isawaitable(value) else value


def raised(error: BaseException) -> Answer:
    """Tells of an exception, with itself if it survives pickling."""
    trace = full_text(error)
    exception = None
    if isinstance(error, Exception):
        try:
            exception = pickle.dumps(error, protocol=5)
            pickle.loads(exception)  # noqa: S301 - what was pickled a line above
        except BaseException:  # noqa: BLE001 - exceptions are the user's code and may do anything
            exception = None
    return Kind.RAISED, pickled((exception, summarize(error), trace))


def refused(text: str) -> Answer:
    """There is no result, for this reason."""
    return Kind.REFUSED, pickled(text)


async def _wait_for(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
