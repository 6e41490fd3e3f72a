"""The host's handle on its template: a process that has loaded what all have in common, and forks them.

A template that fails to get ready, or dies as soon as it is, is tried again with growing pauses. One that dies later is
replaced at once; the processes that were forked from it do not need it. Where its app can't be forked, processes are
spawned.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from farm.errors import AppError
from farm_settings import PoolSettings
from farm_worker.pool.left_children import adopt_orphans
from farm_worker.pool.lines import ChildLines
from farm_worker.pool.protocol import Initialize, InitializeFailed, Message, TemplateReady
from farm_worker.pool.recycling import WarmUps
from farm_worker.pool.starter import Spawner, Started
from farm_worker.pool.template_process import FORK_SECONDS, TemplateProcess

MODULE = "farm_worker.pool.template_child"
EARLY_DEATH_SECONDS = 10.0
"""A template that served for less counts as one that failed to get ready."""

_logger = logging.getLogger(__name__)


class Template:
    """A Starter. Lives on the loop's thread, which must be the main thread; nothing here blocks."""

    module = MODULE

    def __init__(
        self, settings: PoolSettings, initialize: Callable[[], Initialize], environment: Mapping[str, str] | None
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self._settings = settings
        self._initialize = initialize
        self._environment = environment
        self._spawner = Spawner(environment)
        self._warm_ups = WarmUps()
        self._unsafe = ""
        """Why processes are spawned, if they are."""
        self._serving: TemplateProcess | None = None
        self._retired: list[TemplateProcess] = []
        self._processes: set[TemplateProcess] = set()
        self._warming: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._then: Callable[[], None] | None = None
        self._closed = False
        adopt_orphans()

    @property
    def ready(self) -> bool:
        """Whether `start` may be called now."""
        return bool(self._unsafe) or (self._serving is not None and not self._serving.killed)

    @property
    def cheap(self) -> bool:
        """True unless processes are spawned."""
        return self._serving is not None

    @property
    def pids(self) -> Sequence[int]:
        """Templates that run: it, its predecessor, its successor."""
        return [process.pid for process in self._processes]

    @property
    def reserve_pids(self) -> Sequence[int]:
        """Processes that were forked and not asked for yet."""
        return [process.reserve for process in self._processes if process.reserve is not None]

    @property
    def failures(self) -> int:
        """How often in a row it failed to get ready."""
        return 0 if self.ready else self._warm_ups.failures

    @property
    def unhealthy_reason(self) -> str | None:
        """Why it does not get ready, once that failed several times in a row."""
        return None if self.ready else self._warm_ups.unhealthy_reason

    def tend(self) -> None:
        """Starts the template if there is none and it may be tried now, and ends one that hangs."""
        if self._closed:
            return
        now = time.monotonic()
        if self._serving is not None:
            if now - self._serving.serves_since >= EARLY_DEATH_SECONDS and self._then is None:
                self._warm_ups = WarmUps()
            if self._serving.hangs(now) and not self._serving.killed:
                text = "the template (pid %d) was asked for a process and did not fork for %g s: it is killed"
                _logger.error(text, self._serving.pid, FORK_SECONDS)
                self._serving.kill()
        needed = (self._serving is None and not self._unsafe) or self._then is not None
        if needed and self._warming is None and now >= self._warm_ups.retry_at:
            self._begin()

    def start(self, lines: ChildLines) -> Started | None:
        """Asks for a process, which says itself that it was `Born`. Raises OSError when that can't be done now."""
        if self._serving is None:
            return self._spawner.start(lines)
        try:
            return self._ask(self._serving, lines)
        finally:
            lines.close()

    def renew(self, then: Callable[[], None]) -> None:
        """Makes another template, and forks from that once it is ready; then calls `then`."""
        if self._warming is not None:
            self._warming.cancel()
            self._warming = None
        self._then = then
        self._warm_ups = WarmUps()
        self._begin()

    def release(self) -> None:
        """Ends templates that were replaced: until then, what they clean up at their end may be in use."""
        retired, self._retired = self._retired, []
        for process in retired:
            self._run(self._finish(process))

    async def close(self) -> None:
        """Ends all, gracefully within CLOSE_TIMEOUT."""
        self._closed = True
        self._serving = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(self._finish(process) for process in tuple(self._processes)))

    def _ask(self, process: TemplateProcess, lines: ChildLines) -> Started | None:
        process.hand(lines)
        return None

    def _bring_up(self) -> TemplateProcess:
        return TemplateProcess(self.module, self._environment)

    def _begin(self) -> None:
        self._warming = self._run(self._warm_up())

    def _run(self, part: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(part)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _warm_up(self) -> None:
        begun = time.monotonic()
        process: TemplateProcess | None = None
        limit = self._settings.preload_timeout
        try:
            process = self._bring_up()
            self._processes.add(process)
            self._judge(process, await asyncio.wait_for(process.ask(self._initialize()), limit))
        except (AppError, OSError, ValueError) as error:  # TimeoutError is an OSError
            if isinstance(error, TimeoutError):
                error = AppError(f"the app was not imported and preloaded within {limit:g} s (PRELOAD_TIMEOUT)")
            await self._end(process)
            self._fail(begun, str(error) if isinstance(error, AppError) else f"the template {error}")
        except BaseException:
            await self._end(process)
            raise

    def _judge(self, process: TemplateProcess, answer: Message) -> None:
        if isinstance(answer, InitializeFailed):
            raise AppError(answer.error)
        if not isinstance(answer, TemplateReady):
            raise AppError(f"it sent {type(answer).__name__} in place of being ready")
        self._warming = None
        if self._serving is not None:
            self._retired.append(self._serving)
        if answer.unsafe:
            if answer.unsafe != self._unsafe:
                _logger.warning("processes are spawned, not forked from the template: %s", answer.unsafe)
            self._serving = None
            self._run(self._finish(process))
        else:
            self._serve(process, answer)
        self._unsafe = answer.unsafe
        then, self._then = self._then, None
        if then is not None:
            then()
        self.on_change()

    def _serve(self, process: TemplateProcess, answer: TemplateReady) -> None:
        self._serving = process
        process.serves_since = time.monotonic()
        _logger.info("the template (pid %d) is ready after %.2f s", process.pid, answer.seconds)
        self._run(self._watch(process))

    async def _watch(self, process: TemplateProcess) -> None:
        how = await process.answers()
        await self._end(process)
        if process is self._serving:
            self._serving = None
            self._lose(process, how)

    def _lose(self, process: TemplateProcess, how: str) -> None:
        if time.monotonic() - process.serves_since < EARLY_DEATH_SECONDS and not process.killed:
            self._fail(process.started_at, f"the template (pid {process.pid}) {how}")
        else:
            _logger.warning("the template (pid %d) %s; a new one starts", process.pid, how)
            self.tend()

    def _fail(self, begun: float, error: str) -> None:
        self._warming = None
        jitter = random.random()  # noqa: S311 - spreads load, guards nothing
        self._warm_ups = self._warm_ups.after_failure(begun, time.monotonic(), error, jitter)
        pause = self._warm_ups.retry_at - time.monotonic()
        serves_on = "; processes of the old code serve on" if self.ready else ""
        _logger.error("no template: %s; the next try is in %.1f s%s", error, pause, serves_on)

    async def _finish(self, process: TemplateProcess) -> None:
        try:
            await process.finish(self._settings.close_timeout)
        finally:
            self._processes.discard(process)

    async def _end(self, process: TemplateProcess | None) -> None:
        if process is not None:
            await process.end()
            self._processes.discard(process)
