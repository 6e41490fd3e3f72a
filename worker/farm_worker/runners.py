"""The runners of a host: classes of the app of which each host keeps objects in processes of their own.

Jobs reach them over sockets in a private folder; the host only makes the sockets, and never sees a call. It keeps the
processes alive: limits, pings, memory, and a new one for each that ended.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf

import msgspec

from farm.store.process_view import RunnerView
from farm_settings import Settings
from farm_worker.initialization import first_message
from farm_worker.pool.memory import MemorySampler
from farm_worker.pool.protocol import Initialize, RunnerOptions
from farm_worker.pool.reasons import ProcessEnd, Reason
from farm_worker.pool.staff import warm_ups_at_once
from farm_worker.runner_copy import RunnerCopy
from farm_worker.runner_folder import RunnerFolder
from farm_worker.runner_process import Patience

MEMORY_INTERVAL_SECONDS = 5.0
MEMORY_LIMIT_INTERVAL_SECONDS = 1.0
"""With a limit to hold: memory can grow by gigabytes in a second."""
KILLED_SECONDS = 5.0
_BYTES_PER_MB = 1_000_000

_logger = logging.getLogger("farm.runners")


class Runners:
    """All copies of all runners. `start`, then `supervise` while the host lives, then `close`."""

    def __init__(  # noqa: PLR0913 - of what it passes on, each is one thing
        self,
        options: Sequence[RunnerOptions],
        settings: Settings,
        environment: Mapping[str, str],
        *,
        redis_url: str,
        host: str,
        facts: str = "",
        on_end: Callable[[ProcessEnd], None],
        on_change: Callable[[], None],
    ) -> None:
        """Opens the sockets: calls wait there from now on. Raises OSError.

        `facts`: path of the host's `FactsBoard`. `on_end` gets each end of a process, `on_change` tells that
        `unhealthy_reason` may have changed.
        """
        self.starting = bool(options)
        """True until `start` is through: what a job calls may not be there yet."""
        self.paths: Mapping[str, str] = {}
        """Name → path of the socket that its copies answer on."""
        self._options = {runner.name: runner for runner in options}
        self._settings = settings
        self._environment = environment
        self._on_end = on_end
        self._on_change = on_change
        self._folder = RunnerFolder() if options else None
        self._listeners: dict[str, socket.socket] = {}
        self._listen()
        initialize = first_message(
            settings, environment, redis_url=redis_url, host=host, process=0, runners=self.paths, facts=facts
        )
        self._copies = list(self._make_copies(initialize))
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def unhealthy_reason(self) -> str | None:
        """Why some runner has no copy that takes calls, once one failed; None as soon as there is one."""
        for name in self._options:
            copies = [copy for copy in self._copies if copy.runner == name]
            failures = [copy.failure for copy in copies if copy.failure]
            if failures and not any(copy.ready for copy in copies):
                return f"runner {name!r} takes no calls, its last process ended: {failures[-1]}"
        return None

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [copy.process.pid for copy in self._copies if copy.process is not None]

    @property
    def views(self) -> list[RunnerView]:
        """What each copy does now."""
        return [copy.view() for copy in self._copies]

    async def start(self) -> None:
        """Starts all copies. Returns when each of them is initialized or has failed once."""
        if self._copies:
            _logger.info("initializing the runners: %s", ", ".join(self._options))
            self._tasks = [asyncio.create_task(copy.keep()) for copy in self._copies]
            self._tasks.append(asyncio.create_task(self._sample_memory()))
            settled = asyncio.create_task(self._settled())
            try:
                await asyncio.wait([settled, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            finally:
                settled.cancel()
        self.starting = False
        self._on_change()

    async def supervise(self) -> None:
        """Until cancelled. Raises what ended the supervision, if anything does."""
        if not self._tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()

    def recycle(self) -> None:
        """Replaces all processes, so that they import the code anew; calls wait meanwhile."""
        for copy in self._copies:
            copy.recycle(self._settings.host.drain_timeout)

    async def close(self, timeout: float) -> None:
        """Lets each call that is done now end for `timeout` seconds, then kills. No process is left."""
        for copy in self._copies:
            copy.close(Reason.CLOSED)
        keepers = self._tasks[: len(self._copies)]
        if keepers and timeout > 0:
            await asyncio.wait(keepers, timeout=timeout)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=KILLED_SECONDS)
        for listener in self._listeners.values():
            listener.close()
        if self._folder is not None:
            self._folder.remove()
            self._folder = None

    async def _settled(self) -> None:
        for copy in self._copies:
            await copy.settled.wait()

    def _listen(self) -> None:
        if self._folder is not None:
            for number, (name, runner) in enumerate(self._options.items()):
                # A name may be any text: it is no name for a file.
                self._listeners[name] = self._folder.listen(str(number), runner.max_waiting)
            self.paths = {name: str(listener.getsockname()) for name, listener in self._listeners.items()}

    def _make_copies(self, initialize: Initialize) -> Iterable[RunnerCopy]:
        pool = self._settings.pool
        starts = asyncio.Semaphore(warm_ups_at_once(pool))
        for name, runner in self._options.items():
            patience = Patience(runner.initialize_timeout, pool.ping_interval, pool.ping_timeout)
            for number in range(runner.copies):
                yield RunnerCopy(
                    msgspec.structs.replace(initialize, runner=name, copy=number),
                    self._listeners[name].fileno(),
                    self._environment,
                    patience,
                    starts,
                    self._changed,
                )

    def _changed(self, end: ProcessEnd | None) -> None:
        if end is not None:
            _logger.log(logging.WARNING if end.abnormal else logging.INFO, "%s", end.sentence())
            self._on_end(end)
        self._on_change()

    async def _sample_memory(self) -> None:
        limits = {name: runner.memory_limit_mb or inf for name, runner in self._options.items()}
        limited = any(limit < inf for limit in limits.values())
        sampler = MemorySampler()
        while True:
            samples = await asyncio.to_thread(sampler.sample, self.pids)
            for copy in self._copies:
                process = copy.process
                if process is not None and process.pid in samples:
                    process.memory = samples[process.pid]
                    if process.memory > limits[copy.runner] * _BYTES_PER_MB:
                        process.kill(Reason.MEMORY_LIMIT)
            await asyncio.sleep(MEMORY_LIMIT_INTERVAL_SECONDS if limited else MEMORY_INTERVAL_SECONDS)
