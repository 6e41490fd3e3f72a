"""RQ's `Worker`, with the farm's engine inside: `rq worker -w farm_worker.rq.Worker`, or in code in its place.

It takes the arguments of `rq.Worker` and looks like one. `work` runs a host with its pool in this very process, and a
coordinator beside it, which stands by while another one leads. Jobs run in processes forked from this one, so custom
classes and exception handlers need no name by which they could be imported.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT, RQ_KEY_PREFIX
from rq.logutils import setup_loghandlers
from rq.serializers import DefaultSerializer
from rq.utils import now
from rq.worker import DequeueStrategy, WorkerStatus
from rq.worker import Worker as RqWorker

from farm.store.client_address import address_of
from farm_settings import Settings, load
from farm_worker.engine import Engine
from farm_worker.pool.caller_template import end_unused, fork_caller
from farm_worker.pool.given import Given
from farm_worker.stopping import Stopping

FORCE_AFTER = timedelta(seconds=1)
"""A second signal sooner than this is the same request, as who stops a group of processes may send it twice."""


class Worker(RqWorker):
    """One job at a time, unless `FARM_PROCESSES` says otherwise. Settings of the farm are read from the environment."""

    own_strategy: DequeueStrategy | None = None
    """Whatever `work` is told."""

    def work(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Runs jobs until there are none (`burst`), a limit is reached, or it is asked to stop.

        Returns whether any job was run. Call it in the main thread. Raises ValueError when a worker of this name is
        alive, SystemExit when it was asked to stop twice, and FarmError.
        """
        for name in ("rq.worker", "rq.job", "farm", "farm_worker"):
            setup_loghandlers(logging_level, date_format, log_format, name=name)
        settings = self._settings(burst, max_jobs, max_idle_time, dequeue_strategy)
        self.register_birth()  # type: ignore[no-untyped-call]
        self.set_state(WorkerStatus.STARTED)

        def prepare() -> None:
            if with_scheduler and burst:
                self._start_scheduler(burst, logging_level, date_format, log_format)
            if self.should_run_maintenance_tasks:
                self.run_maintenance_tasks()  # type: ignore[no-untyped-call]

        stopping = Stopping()
        template = fork_caller(self._given())
        engine = Engine(settings, self._given(), template, stopping)
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            asyncio.run(self._run(engine, stopping, prepare))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            if not engine.took_over:
                end_unused(template)
            self._state = WorkerStatus.IDLE
        if stopping.at_once:
            raise SystemExit
        return bool(engine.finished_jobs)

    async def _run(self, engine: Engine, stopping: Stopping, prepare: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop, engine, stopping, number)
        await engine.run(prepare)

    def _ask_to_stop(self, engine: Engine, stopping: Stopping, number: signal.Signals) -> None:
        if stopping.requested:
            if self._shutdown_requested_date and now() - self._shutdown_requested_date >= FORCE_AFTER:
                self.log.warning("Worker %s: asked to stop again, running jobs end now", self.name)
                stopping.signal(number.name)
            return
        self._shutdown_requested_date = now()
        if engine.busy:
            self._stop_requested = True
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        self.handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        stopping.signal(number.name)

    def _settings(
        self, burst: bool, max_jobs: int | None, max_idle_time: int | None, dequeue_strategy: str
    ) -> Settings:
        flags: dict[str, Any] = {
            "redis_url": address_of(self.connection),
            "rq_prefix": RQ_KEY_PREFIX,
            "name": self.name,
            "queues": self.queue_names(),
            "burst": burst,
            "max_jobs": max_jobs,
            "exit_when_idle": max_idle_time,
            "dequeue_strategy": DequeueStrategy(self.own_strategy or dequeue_strategy).value,
            "result_ttl": self.default_result_ttl,
            "standby_coordinator": False,
            "app": None,
        }
        likes_rq: dict[str, Any] = {
            "processes": 1,
            "threshold": 1.0,
            "on_lost": "fail",
            "path": [folder or os.getcwd() for folder in sys.path],
        }
        return load(flags=flags, app=likes_rq)

    def _given(self) -> Given:
        serializer = self.serializer
        return Given(
            connection=self.connection,
            job_class=self.job_class,
            serializer=None if serializer is DefaultSerializer else serializer,
            exception_handlers=tuple(self._exc_handlers),
            keeps_failures=not self.disable_default_exception_handler,
        )


class RoundRobinWorker(Worker):
    """Its queues take turns."""

    own_strategy = DequeueStrategy.ROUND_ROBIN


class RandomWorker(Worker):
    """Asks its queues in another order for each job."""

    own_strategy = DequeueStrategy.RANDOM
