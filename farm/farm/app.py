"""`App`: what the owner of a host declares — settings, queues, hooks — and how a process finds it."""

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, Literal, NoReturn, TypeVar, Unpack, get_args

from farm.app_settings import AppSettings
from farm.errors import AppError

Hook = TypeVar("Hook", bound=Callable[..., Any])
OnLost = Literal["rerun", "fail"]


class App:
    """What the owner of a host declares.

    Settings given here count less than flags and environment, and more than the defaults. Hooks are functions with no
    argument or one; what the argument is, each of them says.
    """

    def __init__(self, **settings: Unpack[AppSettings]) -> None:
        """Raises AppError for a name that is no setting. Values are checked when the host starts."""
        for name in settings:
            if name not in AppSettings.__annotations__:
                near = _nearest(name, AppSettings.__annotations__)
                raise AppError(f"App({name}=...): there is no such setting.{near} `farm settings` lists them.")
        self.settings: Mapping[str, Any] = dict(settings)
        self.queues: dict[str, dict[str, Any]] = {}
        """Name → options given to `queue`."""
        self.prewarm_hooks: list[Callable[..., Any]] = []
        self.load_hook: Callable[..., Any] | None = None
        self._origin = _origin(sys._getframe(1))  # noqa: SLF001 - the documented way to the caller's module

    def queue(self, name: str, *, on_lost: OnLost | None = None) -> None:
        """Options of one queue, also for jobs that plain rq puts into it.

        `on_lost`: whether a job whose process or host was lost runs again (`rerun`) or fails. Raises AppError.
        """
        if not isinstance(name, str) or not name.strip():
            raise AppError(f"app.queue({name!r}): a queue is named by a text that is not empty.")
        if name in self.queues:
            raise AppError(f"app.queue({name!r}): this queue was declared before; give all its options in one call.")
        if on_lost not in (None, *get_args(OnLost)):
            raise AppError(f"app.queue({name!r}, on_lost={on_lost!r}): on_lost is 'rerun' or 'fail'.")
        given = {"on_lost": on_lost}
        self.queues[name] = {option: value for option, value in given.items() if value is not None}

    def prewarm(self, function: Hook) -> Hook:
        """Runs `function` in each process before it takes jobs; several run in the order of their declaration.

        The argument is the process: what is put into `process.userdata` is there for the jobs, as
        `farm.current_process().userdata`. May be `async`, and may `yield`: what follows runs when the process ends.
        """
        _check_hook("prewarm", function)
        self.prewarm_hooks.append(function)
        return function

    def load(self, function: Hook) -> Hook:
        """Lets `function` say the load of the host, 0 to 1, instead of the CPU measurement. May be `async`.

        The argument has what was measured, as in `host.cpu`. It runs in a process of its own, about once a second.
        """
        _check_hook("load", function)
        if self.load_hook is not None:
            raise AppError(f"@app.load: {_name(self.load_hook)} is the load function already; there can be only one.")
        self.load_hook = function
        return function

    def run(self, argv: list[str] | None = None) -> NoReturn:
        """Starts a host with this app in place of this program, as `farm worker --app` does; never returns.

        `argv`: flags of `farm worker`, by default those of this program. Raises AppError while the app is imported.
        """
        if _importing:
            raise AppError(
                f"app.run() was called while {_importing[-1]!r} was imported: every process of the host imports it. "
                'Put it under `if __name__ == "__main__":`.'
            )
        flags = sys.argv[1:] if argv is None else argv
        paths = [argument for folder in _path(self._origin.folder) for argument in ("--path", folder)]
        command = [sys.executable, "-P", "-m", "farm", "worker", "--app", self._origin.module, *paths, *flags]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, command)  # noqa: S606 - a list, never a shell


def import_app(name: str) -> App:
    """The App of `module` or `module:name`. Raises AppError; what the module itself raised is its cause."""
    module_name, _, attribute = name.partition(":")
    _importing.append(module_name)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise AppError(_import_failed(module_name, error)) from error
        raise AppError(
            f"app {name!r}: there is no module {error.name!r}. Looked in: {', '.join(sys.path) or 'nothing'}. "
            "Start in the folder that holds it, or add that to FARM_PATH."
        ) from None
    except AppError:
        raise
    except (Exception, SystemExit) as error:
        raise AppError(_import_failed(module_name, error)) from error
    finally:
        _importing.pop()
    return _named_app(module, attribute) if attribute else _only_app(module)


@dataclass(frozen=True, slots=True)
class _Origin:
    """The module that made an App, as other processes can import it."""

    module: str
    folder: str


_importing: list[str] = []


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


def _import_failed(module: str, error: BaseException) -> str:
    return f"importing {module!r} raised {type(error).__name__}: {error}"


def _named_app(module: ModuleType, attribute: str) -> App:
    try:
        app = getattr(module, attribute)
    except AttributeError:
        near = _nearest(attribute, vars(module))
        raise AppError(f"module {module.__name__!r} has nothing called {attribute!r}.{near}") from None
    if not isinstance(app, App):
        raise AppError(f"{module.__name__}:{attribute} is of type {type(app).__name__}, not a farm.App.")
    return app


def _only_app(module: ModuleType) -> App:
    apps = {id(value): (name, value) for name, value in reversed(vars(module).items()) if isinstance(value, App)}
    if not apps:
        raise AppError(f"module {module.__name__!r} has no App. Make one: `app = farm.App()`.")
    if len(apps) > 1:
        names = sorted(name for name, _ in apps.values())
        example = f"{module.__name__}:{names[0]}"
        raise AppError(f"module {module.__name__!r} has several Apps: {', '.join(names)}. Name one, as in {example}.")
    return next(app for _, app in apps.values())


def _check_hook(kind: str, function: Callable[..., Any]) -> None:
    if not callable(function):
        raise AppError(f"@app.{kind} goes on a function, not on {function!r}; it takes no parentheses.")
    try:
        takes_argument(function)
    except ValueError:
        raise AppError(f"@app.{kind}: {_name(function)} must take no argument or one.") from None


def takes_argument(function: Callable[..., Any]) -> bool:
    """Whether a hook takes its one argument. Raises ValueError if it can be called neither with one nor without."""
    signature = inspect.signature(function)
    for arguments in ((None,), ()):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return bool(arguments)
    raise ValueError(f"{_name(function)} takes more than one argument")


def _name(function: Callable[..., Any]) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', repr(function))}"


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""
