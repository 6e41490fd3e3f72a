"""The host's handle on its hooks process, which tells what the app declares, and runs the user's `load` and `accept`.

Neither a hang nor a crash of user code there reaches the host: a call has a time limit, and a process that missed it or
died is replaced. For an app with neither of them the process ends as soon as it has described the app.
"""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from farm.errors import AppError
from farm_settings import Settings
from farm_worker.initialization import first_message
from farm_worker.part_process import PartProcess
from farm_worker.patience import within
from farm_worker.pool.offer_messages import AcceptAnswer, CallAccept, Offer
from farm_worker.pool.protocol import CallLoad, DescribeApp, InitializeFailed, LoadAnswer

MODULE = "farm_worker.hooks_child"
RESTART_PAUSE_SECONDS = 1.0
"""Between two starts of a process that ends by itself at once."""
LONGEST_PAUSE_SECONDS = 30.0

SHARE_OF_TIMEOUT = 0.5
"""Of the time for a question about several jobs: after that none of them is begun with."""

_Answer = TypeVar("_Answer", LoadAnswer, AcceptAnswer)

_logger = logging.getLogger(__name__)


class Hooks:
    """One hooks process, replaced when it breaks. `start` makes it; its event loop runs in the main thread."""

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self._initialize = first_message(
            settings, environment, redis_url=settings.redis.url or "", host=settings.host.name or "", process=0
        )
        self._start_timeout = settings.pool.initialize_timeout
        self._environment = environment
        self._process: PartProcess | None = None
        self._turn = asyncio.Lock()
        self._restart: asyncio.Task[None] | None = None
        self._error = ""
        self._sequence = 0
        self.app: DescribeApp
        """What the app declared when it was first imported."""

    @classmethod
    async def start(cls, settings: Settings, environment: Mapping[str, str]) -> "Hooks":
        """Starts the process and imports the app in it. `app` says what that declares.

        Raises AppError with the reason when it cannot be imported, or not within INITIALIZE_TIMEOUT.
        """
        hooks = cls(settings, environment)
        hooks.app = await hooks._begin()
        return hooks

    @property
    def pid(self) -> int | None:
        """The process that runs now. None while it is being replaced, and for an app without such functions."""
        return self._process.pid if self._process is not None else None

    async def load(self, facts: Mapping[str, Any], *, timeout: float) -> LoadAnswer:
        """What the user's load function says of `facts`; an answer with an error in place of a value if it can't.

        After `timeout` seconds, or a crash, the process is killed and replaced in the background.
        """
        async with self._turn:
            self._sequence += 1
            question = CallLoad(self._sequence, dict(facts))
            answer = await self._ask(question, LoadAnswer, "load function", timeout)
            return answer if isinstance(answer, LoadAnswer) else LoadAnswer(self._sequence, None, answer)

    async def accept(self, offers: Sequence[Offer], facts: Mapping[str, Any], *, timeout: float) -> AcceptAnswer:
        """What the user's accept function says of the first of `offers`; an answer with an error if it can't.

        After `timeout` seconds, or a crash, the process is killed and replaced in the background.
        """
        async with self._turn:
            self._sequence += 1
            question = CallAccept(self._sequence, dict(facts), list(offers), SHARE_OF_TIMEOUT * timeout)
            answer = await self._ask(question, AcceptAnswer, "accept function", timeout)
            return answer if isinstance(answer, AcceptAnswer) else AcceptAnswer(self._sequence, [], answer)

    async def _ask(
        self, question: CallLoad | CallAccept, kind: type[_Answer], function: str, timeout: float
    ) -> _Answer | str:
        """Its answer, or why there is none."""
        process = self._process
        if process is None:
            return self._error
        try:
            answer = await within(process.ask(question), timeout)
        except TimeoutError:
            return await self._replace(f"the {function} did not answer within {timeout:g} s")
        except (OSError, ValueError) as error:
            return await self._replace(f"the hooks process {error}")
        if not isinstance(answer, kind) or answer.sequence != self._sequence:
            return await self._replace(f"the hooks process sent {type(answer).__name__} out of turn")
        return answer

    async def close(self) -> None:
        """Ends the process, at once if it is busy."""
        if self._restart is not None:
            self._restart.cancel()
            with suppress(asyncio.CancelledError):
                await self._restart
        if self._process is not None:
            await self._process.end()
            self._process = None

    async def _begin(self) -> DescribeApp:
        process = PartProcess(MODULE, self._environment)
        app = self._initialize.app
        try:
            answer = await within(process.ask(self._initialize), self._start_timeout)
            if isinstance(answer, InitializeFailed):
                raise AppError(answer.error)
            if not isinstance(answer, DescribeApp):
                raise AppError(f"app {app!r}: the hooks process sent {type(answer).__name__} in place of a description")
        except TimeoutError:
            await process.end()
            seconds = f"{self._start_timeout:g} s (INITIALIZE_TIMEOUT)"
            raise AppError(f"app {app!r} was not imported within {seconds}") from None
        except (OSError, ValueError) as error:
            await process.end()
            raise AppError(f"app {app!r}: while it was imported the hooks process {error}") from None
        except BaseException:
            await process.end()
            raise
        if answer.has_load or answer.has_accept:
            self._process = process
        else:
            self._error = "the app has no load function"
            await process.end()
        return answer

    async def _replace(self, error: str) -> str:
        process, self._process = self._process, None
        self._error = f"{error}; it is starting anew"
        _logger.error("hooks process: %s, so it is replaced", error)
        assert process is not None
        await process.end()
        self._restart = asyncio.create_task(self._begin_again())
        return error

    async def _begin_again(self) -> None:
        pause = RESTART_PAUSE_SECONDS
        while True:
            try:
                await self._begin()
            except (AppError, OSError) as error:
                self._error = str(error)
                _logger.error("hooks process: %s; the next try is in %g s", error, pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
            else:
                return


def on_lost_of_queues(hooks: Hooks | None) -> dict[str, str]:
    """Queue → what the app says becomes of its jobs when their host is lost, of the queues that it says it of."""
    queues = hooks.app.queues if hooks else {}
    return {queue: options["on_lost"] for queue, options in queues.items() if "on_lost" in options}


def needs_of_queues(hooks: Hooks | None) -> str:
    """What jobs of queues require, as the app says, in JSON: queue → requirements. Empty if it says nothing of it."""
    queues = hooks.app.queues if hooks else {}
    needs = {
        queue: {name: options[name] for name in ("requires", "memory_mb") if name in options}
        for queue, options in queues.items()
    }
    needs = {queue: what for queue, what in needs.items() if what}
    return json.dumps(needs, separators=(",", ":")) if needs else ""
