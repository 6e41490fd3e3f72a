"""RQ's worker, as tools that watch jobs know it: they put functions of their own around two of its methods.

Sentry's integration is one. A process of the farm has no such worker, so a stand-in is asked to do what those methods
do: call the user's tools, which call ours. Where no tool put itself there, nothing of this is used.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rq.executions import Execution
from rq.job import Job
from rq.job_lifecycle import call_exception_handlers
from rq.queue import Queue
from rq.worker import BaseWorker, Worker

from farm_worker.pool.failure import ExceptionInfo

_perform_job = BaseWorker.perform_job
_handle_exception = BaseWorker.handle_exception

_logger = logging.getLogger("farm_worker")


class StandIn(Worker):
    """Looks like the worker that runs one job. Opens nothing and writes nothing."""

    def __init__(  # it would register itself in Redis
        self, name: str, connection: Any, handlers: Sequence[Callable[..., Any]], run: Callable[[], bool]
    ) -> None:
        self.name = name
        self.connection = connection
        self.log = _logger
        self.queues: list[Queue] = []
        self._exc_handlers = list(handlers)
        self._is_horse = False
        """The process lives on: what tools would send at its end, they send in the background."""
        self.run = run
        """Runs the job; True if it finished."""

    def perform(self, job: Job, queue: str, token: str) -> BaseException | None:
        """Runs the job, and the tools around it. Returns what the tools raised."""
        execution = Execution(id=token, job_id=job.id, connection=self.connection, worker_name=self.name)
        try:
            with _sentry_scope():
                self.perform_job(job, Queue(queue, connection=self.connection), execution)
        except BaseException as error:  # noqa: BLE001 - the tools are the user's choice
            return error
        return None


def install() -> None:
    """Takes the place of RQ's methods, unless that was done. Call it before user code can put something around them."""
    if BaseWorker.perform_job is not _perform_job or BaseWorker.handle_exception is not _handle_exception:
        return
    BaseWorker.perform_job = our_perform_job  # type: ignore[method-assign]
    BaseWorker.handle_exception = our_handle_exception  # type: ignore[method-assign]


def is_watched() -> bool:
    """Whether some tool put a function around either method."""
    return Worker.perform_job is not our_perform_job or Worker.handle_exception is not our_handle_exception


def _sentry_scope() -> AbstractContextManager[Any]:
    """What a job tells Sentry (tags, user) is told of that job alone. Its integration relies on RQ's fork for that."""
    scope = getattr(sys.modules.get("sentry_sdk"), "isolation_scope", nullcontext)
    made: AbstractContextManager[Any] = scope()
    return made


def our_perform_job(self: BaseWorker, job: Job, queue: Queue, *arguments: Any, **options: Any) -> bool:
    if isinstance(self, StandIn):
        return self.run()
    return _perform_job(self, job, queue, *arguments, **options)  # a job may run workers of RQ itself


def our_handle_exception(self: BaseWorker, job: Job, *info: Any, **options: Any) -> None:
    if isinstance(self, StandIn):
        call_exception_handlers(self._exc_handlers, job, *info)
    else:
        _handle_exception(self, job, *info, **options)


def handle(worker: StandIn | None, handlers: Sequence[Callable[..., Any]], job: Job, info: ExceptionInfo) -> None:
    """Calls the exception handlers, through the worker if there is one. Raises what they raise."""
    if worker is not None:
        worker.handle_exception(job, *info)
    else:
        call_exception_handlers(handlers, job, *info)
