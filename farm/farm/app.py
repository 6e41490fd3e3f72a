"""`App`: what the owner of a host declares — settings, queues, hooks, runners."""

import inspect
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, Literal, NoReturn, TypeVar, Unpack, get_args, overload

from farm.app_settings import AppSettings
from farm.errors import AppError
from farm.requirements import check_memory_mb, check_requires
from farm.runner_declaration import Runner, checked_runner

Hook = TypeVar("Hook", bound=Callable[..., Any])
RunnerClass = TypeVar("RunnerClass", bound=type)
OnLost = Literal["rerun", "fail"]
HostEvent = Literal[
    "process_created",
    "process_started",
    "process_ready",
    "job_launched",
    "job_finished",
    "process_killed",
    "process_closed",
    "host_full",
    "host_available",
    "host_draining",
]
"""What `App.on` can be told of."""


class App:
    """What the owner of a host declares.

    Settings given here count less than flags and environment, and more than the defaults. Hooks are functions with no
    argument or one; what the argument is, each of them says.
    """

    def __init__(self, **settings: Unpack[AppSettings]) -> None:
        """Raises AppError for a name that is no setting. Values are checked when the host starts."""
        for name in settings:
            if name not in AppSettings.__annotations__:
                near = nearest(name, AppSettings.__annotations__)
                raise AppError(f"App({name}=...): there is no such setting.{near} `farm settings` lists them.")
        self.settings: Mapping[str, Any] = dict(settings)
        self.queues: dict[str, dict[str, Any]] = {}
        """Name → options given to `queue`."""
        self.preload_hooks: list[Callable[..., Any]] = []
        self.prewarm_hooks: list[Callable[..., Any]] = []
        self.around_job_hooks: list[Callable[..., Any]] = []
        self.arguments_hook: Callable[..., Any] | None = None
        self.load_hook: Callable[..., Any] | None = None
        self.accept_hook: Callable[..., Any] | None = None
        self.entrypoint_hook: Callable[..., Any] | None = None
        self.entrypoint_timeout: float | None = None
        """Seconds; None: what the job itself says, by RQ's default 180."""
        self.runners: dict[str, Runner] = {}
        """Name → what `runner` declared."""
        self.event_handlers: dict[HostEvent, list[Callable[..., Any]]] = {}
        self._origin = _origin(sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's module

    def queue(
        self,
        name: str,
        *,
        on_lost: OnLost | None = None,
        requires: Sequence[str] = (),
        memory_mb: int | None = None,
    ) -> None:
        """Options of one queue, also for jobs that plain rq puts into it. What a job says of itself goes before.

        `on_lost`: whether a job whose process or host was lost runs again (`rerun`) or fails. `requires`: labels that a
        host must have to get its jobs; `memory_mb`: megabytes that must be free there. Raises AppError.
        """
        if not isinstance(name, str) or not name.strip():
            raise AppError(f"app.queue({name!r}): a queue is named by a text that is not empty.")
        if name in self.queues:
            raise AppError(f"app.queue({name!r}): this queue was declared before; give all its options in one call.")
        if on_lost not in (None, *get_args(OnLost)):
            raise AppError(f"app.queue({name!r}, on_lost={on_lost!r}): on_lost is 'rerun' or 'fail'.")
        try:
            labels = list(check_requires(requires))
            megabytes = None if memory_mb is None else check_memory_mb(memory_mb)
        except ValueError as error:
            raise AppError(f"app.queue({name!r}): {error}.") from None
        given = {"on_lost": on_lost, "requires": labels or None, "memory_mb": megabytes}
        self.queues[name] = {option: value for option, value in given.items() if value is not None}

    def preload(self, function: Hook) -> Hook:
        """Runs `function` once per host, before its processes are forked: what it loads, they share.

        The argument is the process: what is put into `process.userdata` is there in every process. What cannot be
        forked (open connections, threads, CUDA) belongs into `prewarm` or a runner. Where processes are spawned, it
        runs in each of them, before `prewarm`.
        """
        _check_hook("preload", function)
        self.preload_hooks.append(function)
        return function

    def arguments(self, function: Hook) -> Hook:
        """Lets `function` say what is special about one process: its result is `process.arguments` there.

        The argument is the process, which knows its `number`. Runs in each process, before `prewarm`.
        """
        _check_hook("arguments", function)
        if self.arguments_hook is not None:
            raise AppError(f"@app.arguments: {_name(self.arguments_hook)} is declared already; there can be only one.")
        self.arguments_hook = function
        return function

    def prewarm(self, function: Hook) -> Hook:
        """Runs `function` in each process before it takes jobs; several run in the order of their declaration.

        The argument is the process: what is put into `process.userdata` is there for the jobs, as
        `farm.current_process().userdata`. May be `async`, and may `yield`: what follows runs when the process ends.
        """
        _check_hook("prewarm", function)
        self.prewarm_hooks.append(function)
        return function

    def around_job(self, function: Hook) -> Hook:
        """Runs `function` around every job, in its process: up to its one `yield` before, the rest after the job.

        The argument is the job, as `farm.current_job()`. May be `async`. Several nest in the order of their
        declaration. What the job raised is raised at the `yield`; what the function raises fails the job.
        """
        _check_hook("around_job", function)
        if not (inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)):
            raise AppError(f"@app.around_job: {_name(function)} must have a yield: the job runs there.")
        self.around_job_hooks.append(function)
        return function

    @overload
    def entrypoint(self, function: Hook) -> Hook: ...

    @overload
    def entrypoint(self, *, timeout: float | None = None) -> Callable[[Hook], Hook]: ...

    def entrypoint(self, function: Hook | None = None, *, timeout: float | None = None) -> Any:
        """Makes `function` what runs for jobs enqueued as `"farm.entrypoint"`; returning ends the job.

        The argument is the job: `job.payload` is what was enqueued. May be `async`. `timeout` (seconds) holds in place
        of RQ's default of 180 s; a job that was enqueued with another limit keeps its own.
        """
        if function is None:
            return partial(self._declare_entrypoint, timeout=timeout)
        return self._declare_entrypoint(function, timeout)

    def runner(
        self,
        name: str,
        *,
        copies: int = 1,
        batch: int = 1,
        max_waiting: int = 1000,
        initialize_timeout: float = 300.0,
        memory_limit_mb: float | None = None,
    ) -> Callable[[RunnerClass], RunnerClass]:
        """Gives every host `copies` processes that hold one object of this class, for all of its jobs.

        The class has `initialize(self)` and `run(self, data)`; a job calls `farm.runner(name).call(data)`. With
        `batch` above 1, `run` gets a list of up to so many data and returns as many results. `max_waiting`: calls that
        may wait at a time. `initialize_timeout` in seconds, `memory_limit_mb` in MB for each copy.
        """

        def declare(kind: RunnerClass) -> RunnerClass:
            self.runners[name] = checked_runner(
                self.runners, name, kind, copies, batch, max_waiting, initialize_timeout, memory_limit_mb
            )
            return kind

        return declare

    def on(self, event: HostEvent) -> Callable[[Hook], Hook]:
        """Calls a function with one `Event` argument when this happens on the host. May be `async`.

        It runs in a process of its own: a handler that is slow, raises or hangs hurts neither host nor jobs, it may
        only miss events, which is logged.
        """
        if event not in get_args(HostEvent):
            near = nearest(str(event), dict.fromkeys(get_args(HostEvent)))
            raise AppError(
                f"@app.on({event!r}): there is no such event.{near} There are: {', '.join(get_args(HostEvent))}."
            )

        def declare(function: Hook) -> Hook:
            _check_hook("on", function)
            self.event_handlers.setdefault(event, []).append(function)
            return function

        return declare

    def load(self, function: Hook) -> Hook:
        """Lets `function` say the load of the host, 0 to 1, instead of the CPU measurement. May be `async`.

        The argument is a `farm.HostFacts`: what was measured, as in `host.cpu`. It runs in a process of its own, about
        once a second; no beat waits for it.
        """
        _check_hook("load", function)
        if self.load_hook is not None:
            raise AppError(f"@app.load: {_name(self.load_hook)} is the load function already; there can be only one.")
        self.load_hook = function
        return function

    def accept(self, function: Hook) -> Hook:
        """Lets `function` say of each job that came to this host whether it runs here. May be `async`.

        Its argument is the job, a `farm.OfferedJob`; a second one, if it takes two, is what was measured of the host,
        as in `load`. True accepts. A text declines with that reason, False without one: the job goes back to the head
        of its queue, and is offered to other hosts. It runs in a process of its own, before the job gets one.
        """
        _check_hook("accept", function, most=2, least=1)
        if self.accept_hook is not None:
            raise AppError(f"@app.accept: {_name(self.accept_hook)} is declared already; there can be only one.")
        self.accept_hook = function
        return function

    def _declare_entrypoint(self, function: Hook, timeout: float | None) -> Hook:
        _check_hook("entrypoint", function)
        if self.entrypoint_hook is not None:
            raise AppError(
                f"@app.entrypoint: {_name(self.entrypoint_hook)} is declared already; there can be only one."
            )
        if timeout is not None and not timeout > 0:
            raise AppError(f"@app.entrypoint(timeout={timeout!r}): the timeout is a number of seconds above 0.")
        self.entrypoint_hook, self.entrypoint_timeout = function, timeout
        return function

    def run(self, argv: list[str] | None = None) -> NoReturn:
        """Starts a host with this app in place of this program, as `farm worker --app` does; never returns.

        `argv`: flags of `farm worker`, by default those of this program. Raises AppError while the app is imported.
        """
        if importing:
            raise AppError(
                f"app.run() was called while {importing[-1]!r} was imported: every process of the host imports it. "
                'Put it under `if __name__ == "__main__":`.'
            )
        flags = sys.argv[1:] if argv is None else argv
        paths = [argument for folder in _path(self._origin.folder) for argument in ("--path", folder)]
        command = [sys.executable, "-P", "-m", "farm", "worker", "--app", self._origin.module, *paths, *flags]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, command)  # noqa: S606 - a list, never a shell


@dataclass(frozen=True, slots=True)
class _Origin:
    """The module that made an App, as other processes can import it."""

    module: str
    folder: str


importing: list[str] = []
"""Modules of apps that are being imported now, for `app.run()` to see that it is called too early."""


def _origin(frame: FrameType) -> _Origin:
    """The name of a program's own module is `__main__`: others find it by its spec, or by its file."""
    values = frame.f_globals
    name, spec, file = values.get("__name__", ""), values.get("__spec__"), values.get("__file__")
    if name != "__main__":
        return _Origin(name, "")
    if spec is not None:
        return _Origin(spec.name.removesuffix(".__main__"), "")
    if file is None:
        return _Origin("__main__", "")
    path = Path(file).resolve()
    return _Origin(path.stem, str(path.parent))


def _path(folder: str) -> list[str]:
    """The folder of the program, then where jobs would be looked for without it."""
    default = os.environ.get("FARM_PATH") or os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    return [entry for entry in dict.fromkeys([folder, *default.split(os.pathsep)]) if entry]


_COUNTS = {(0, 1): "no argument or one", (1, 2): "one argument or two"}


def _check_hook(kind: str, function: Callable[..., Any], *, least: int = 0, most: int = 1) -> None:
    if not callable(function):
        raise AppError(f"@app.{kind} goes on a function, not on {function!r}; it takes no parentheses.")
    try:
        arguments_taken(function, least, most)
    except ValueError:
        raise AppError(f"@app.{kind}: {_name(function)} must take {_COUNTS[least, most]}.") from None


def takes_argument(function: Callable[..., Any]) -> bool:
    """Whether a hook takes its one argument. Raises ValueError if it can be called neither with one nor without."""
    return arguments_taken(function, 0, 1) == 1


def arguments_taken(function: Callable[..., Any], least: int, most: int) -> int:
    """How many of `most` arguments a hook takes. Raises ValueError if it can be called with none of these numbers."""
    signature = inspect.signature(function)
    for number in range(most, least - 1, -1):
        try:
            signature.bind(*[None] * number)
        except TypeError:
            continue
        return number
    raise ValueError(f"{_name(function)} cannot be called with {least} to {most} arguments")


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
