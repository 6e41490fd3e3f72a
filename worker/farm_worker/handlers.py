"""The host's handle on its handlers process, which calls what the app declared with `@app.on`.

Whatever becomes of that user code, the host only ever puts an event into a queue: a handler that is slow makes others
wait, one that raises is logged, one that hangs or kills its process costs that process, not the events that wait.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Any

from farm_settings import Settings
from farm_worker.initialization import first_message
from farm_worker.part_process import PartProcess
from farm_worker.patience import within
from farm_worker.pool.protocol import EventHandled, HandleEvent, HandlerCalled, InitializeFailed, Message, Ready

MODULE = "farm_worker.handlers_child"
MAX_WAITING = 1000
"""Events that may wait; what comes then is dropped and counted."""
CALL_SECONDS = 30.0
"""One call of a handler may take so long."""
DROPPED_SECONDS = 10.0
"""Dropped events are logged once in this time, with their number."""
CLOSE_SECONDS = 5.0
"""For what waits when the host ends."""
RESTART_PAUSE_SECONDS = 1.0
"""Before a process that broke is replaced; doubled each time that the next one breaks before it has called anything."""
LONGEST_PAUSE_SECONDS = 30.0

_logger = logging.getLogger("farm.handlers")


class Handlers:
    """One handlers process, replaced when it breaks, and the events that wait for it."""

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str],
        *,
        host: str,
        events: Collection[str],
        facts: str = "",
    ) -> None:
        """Starts the process of the host named `host`, if `events`, the names of those with a handler, has any.

        `facts`: path of the host's `FactsBoard`.
        """
        self.dropped = 0
        """Events that nobody was told of, as too many waited."""
        self._initialize = first_message(
            settings, environment, redis_url=settings.redis.url or "", host=host, process=0, facts=facts
        )
        self._start_timeout = settings.pool.initialize_timeout
        self._environment = environment
        self._events = frozenset(events)
        self._process: PartProcess | None = None
        self._waiting: deque[HandleEvent] = deque()
        """The first one is the one that is handled now."""
        self._handler = ""
        """The function that is called now."""
        self._arrived = asyncio.Event()
        self._sequence = 0
        self._failures = 0
        self._untold = 0
        self._dropped_timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._task = asyncio.create_task(self._run()) if self._events else None

    @property
    def pid(self) -> int | None:
        """The process that runs now. None while it is being replaced, and if nothing is handled."""
        return self._process.pid if self._process is not None else None

    def wants(self, name: str) -> bool:
        """Whether the app has a handler for this event."""
        return name in self._events

    def tell(self, name: str, **fields: Any) -> None:
        """Has the event's handlers called. Never blocks, never raises. `fields`: attributes of `farm.event.Event`."""
        if name not in self._events or self._closing:
            return
        if len(self._waiting) >= MAX_WAITING:
            self._drop()
            return
        self._sequence += 1
        self._waiting.append(HandleEvent(self._sequence, name, time.time(), fields))
        self._arrived.set()

    async def close(self) -> None:
        """Gives what waits 5 s to be handled, then kills the process."""
        if self._task is None:
            return
        self._closing = True
        self._arrived.set()
        if self._waiting or self._process is not None:
            await asyncio.wait([self._task], timeout=CLOSE_SECONDS)
        self._task.cancel()
        await asyncio.wait([self._task])
        if self._dropped_timer is not None:
            self._dropped_timer.cancel()
            self._log_dropped()
        if self._waiting:
            _logger.warning("the host ends, and %d events were not handled", len(self._waiting))

    async def _run(self) -> None:
        while not self._closing or self._waiting:
            broken = await self._serve()
            if broken:
                pause = min(RESTART_PAUSE_SECONDS * 2**self._failures, LONGEST_PAUSE_SECONDS)
                self._failures = min(self._failures + 1, 16)
                waiting = len(self._waiting)
                _logger.error("handlers process: %s\nIt starts anew in %g s; events wait: %d", broken, pause, waiting)
                await asyncio.sleep(pause)

    async def _serve(self) -> str:
        """Hands over what comes until the process breaks. Returns why it did, empty when the host ends."""
        try:
            process = self._process = PartProcess(MODULE, self._environment)
        except OSError as error:
            return f"it can't be started: {error}"
        try:
            broken = await self._begin(process)
            while not broken and await self._is_there_more():
                broken = await self._hand_over(process, self._waiting[0])
            if not broken:
                await process.finish(CLOSE_SECONDS)
        except (OSError, ValueError) as error:
            return f"it {error}{self._at_what()}"
        else:
            return broken
        finally:
            self._process = None
            await process.end()

    async def _begin(self, process: PartProcess) -> str:
        try:
            answer = await within(process.ask(self._initialize), self._start_timeout)
        except TimeoutError:
            return f"the app was not imported within {self._start_timeout:g} s (INITIALIZE_TIMEOUT)"
        if isinstance(answer, InitializeFailed):
            return answer.error
        return "" if isinstance(answer, Ready) else _out_of_turn(answer)

    async def _is_there_more(self) -> bool:
        """Waits for an event. False once the host ends and none is left."""
        while not self._waiting and not self._closing:
            self._arrived.clear()
            await self._arrived.wait()
        return bool(self._waiting)

    async def _hand_over(self, process: PartProcess, event: HandleEvent) -> str:
        """Has one event handled. Functions that were called are not called again, should the process break."""
        self._handler = ""
        try:
            answer = await within(process.ask(event), CALL_SECONDS)
            while isinstance(answer, HandlerCalled) and answer.sequence == event.sequence:
                event.skip += 1
                self._handler = answer.handler
                answer = await within(process.receive(), CALL_SECONDS)
        except TimeoutError:
            return f"not done within {CALL_SECONDS:g} s{self._at_what()}, so it is killed"
        except (TypeError, UnicodeError) as error:
            _logger.error("%s can't be told to its handlers: %s", event.name, error)
            self._waiting.popleft()
            return ""
        if not isinstance(answer, EventHandled) or answer.sequence != event.sequence:
            return _out_of_turn(answer)
        self._failures = 0 if self._handler else self._failures
        self._handler = ""
        self._waiting.popleft()
        for raised in answer.errors:
            _logger.error("handler of %s: %s", event.name, raised)
        return ""

    def _at_what(self) -> str:
        return f" in {self._handler}, handler of {self._waiting[0].name}" if self._handler else ""

    def _drop(self) -> None:
        self.dropped += 1
        self._untold += 1
        if self._dropped_timer is None:
            self._dropped_timer = asyncio.get_running_loop().call_later(DROPPED_SECONDS, self._log_dropped)

    def _log_dropped(self) -> None:
        self._dropped_timer = None
        if self._untold:
            _logger.warning("%d events dropped: %d wait for the app's handlers already", self._untold, MAX_WAITING)
            self._untold = 0


def _out_of_turn(message: Message) -> str:
    return f"it sent {type(message).__name__} out of turn, so it is killed"
