"""Calling a job's function: unpickle, find, run; with errors that say which of these went wrong."""

import asyncio
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job, _current_job
from rq.queue import Queue
from rq.timeouts import JobTimeoutException

from farm.context import ENTRYPOINT
from farm.entry import served_app
from farm_worker.pool.coroutines import Coroutines
from farm_worker.pool.failure import summarize

_FUNC = Job.func
PERFORM, EXECUTE = Job.perform, Job._execute  # noqa: SLF001 - before any tool of the user's could replace them


def decode(job: Job) -> None:
    """Unpickles function name and arguments. Raises RQ's DeserializationError with the reason in its text."""
    try:
        job.func_name  # noqa: B018 - decodes all of the call
    except DeserializationError as error:
        if isinstance(error.__cause__, JobTimeoutException):  # it took too long: it may take less the next time
            raise error.__cause__ from None
        serializer = job.serializer if isinstance(job.serializer, type) else type(job.serializer)
        reason = summarize(error.__cause__) if error.__cause__ is not None else "no reason given"
        raise DeserializationError(
            f"the payload of job {job.id} cannot be decoded with {serializer.__qualname__}: {reason}"
        ) from error.__cause__


def call(job: Job, coroutines: Coroutines, modules: int, settle: Callable[[], None]) -> Any:
    """What the job's function returns. While it runs, `rq.get_current_job()` is `job`.

    `settle` is called if more than so many modules are imported once the function was found. Job classes with a way of
    their own to run jobs are asked, and so is RQ's where a tool put itself around it; the others' coroutines run on the
    process's event loop.
    """
    if not runs_as_rq_does(type(job)):
        return job.perform()
    token = _current_job.set(job)
    try:
        function = _function(job)
        if len(sys.modules) != modules:
            settle()
        value = function(*job.args, **job.kwargs)
        is_coroutine = hasattr(value, "send") and asyncio.iscoroutine(value)  # the first is seen at once
        return coroutines.run_job(value) if is_coroutine else value
    finally:
        _current_job.reset(token)


def runs_as_rq_does(kind: type[Job]) -> bool:
    """Whether jobs of this class are run as RQ's own. RQ documents the methods as hooks."""
    return kind.perform is PERFORM and kind._execute is EXECUTE  # noqa: SLF001


def package_of(job: Job) -> str:
    """The top-level package of the job's function, as far as its name tells. Empty for one of the farm's own."""
    try:
        name = job.func_name if not job.instance else type(job.instance).__module__
    except Exception:  # noqa: BLE001 - what the job's payload decodes to is the user's code
        return ""
    return package_in(str(name))


def package_in(name: str) -> str:
    """The top-level package of a dotted name. Empty for one of the farm's own."""
    package = name.partition(".")[0]
    return "" if package == "farm" else package


def entrypoint_timeout(job: Job) -> float | None:
    """Seconds that the app gives its entry point, for a job that runs it and has no limit of its own."""
    app = served_app()
    if app is None or app.entrypoint_timeout is None or job.func_name != ENTRYPOINT:
        return None
    return app.entrypoint_timeout if job.timeout in (None, Queue.DEFAULT_TIMEOUT) else None


def leave_fork(error: BaseException | None) -> None:
    """Ends a process that a job forked and that came back out of the job's function: it must not act as the worker."""
    code = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _function(job: Job) -> Any:
    try:
        function = _known_function(job) or job.func
    except ValueError as error:
        if isinstance(job.func_name, str) and not job.instance:
            raise ValueError(f"{error}: {_why_missing(job.func_name)}") from None
        raise
    if not function:
        raise ValueError("Cannot execute job: function is None")
    return function


def _known_function(job: Job) -> Any:
    """The function if it is in a module that is imported already, as it is from a function's second job on."""
    name = job.func_name
    if not isinstance(name, str) or job.instance or type(job).func is not _FUNC:
        return None
    return known_function(name)


def known_function(name: str) -> Any:
    """What a dotted name means in a module that is imported. None if that is to be found out."""
    module, _, attribute = name.rpartition(".")
    return getattr(sys.modules[module], attribute, None) if module in sys.modules else None


def _why_missing(name: str) -> str:
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            importlib.import_module(module)
        except ImportError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                return f"importing {module} raised {summarize(error)}"
        else:
            return f"module {module} has no {'.'.join(parts[end:])}"
    return f"there is no module {parts[0]!r} in {', '.join(sys.path)}"
