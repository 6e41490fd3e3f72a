"""What is to be called, and whether a host could call it: found out before anything is written."""

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from farm.errors import JobError

if TYPE_CHECKING:
    from farm.client.options import QueueOptions

Function = Callable[..., Any] | str

_JOB_ID = re.compile(r"[A-Za-z0-9_-]+")


class InvalidCall(JobError, ValueError):
    """A job that no host could run was not enqueued. Nothing was written."""


class DuplicateJob(JobError):
    """A job of this id exists, and `unique=True` was asked for. Nothing was written."""


class Serializes(Protocol):
    """The half of RQ's serializer that is needed to enqueue."""

    def dumps(self, value: Any, /) -> bytes:
        """Bytes for Redis."""


class Call(NamedTuple):
    """One call for `enqueue_many`: a function, or its path as text (`module.function`), and its arguments."""

    function: Function
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = MappingProxyType({})
    options: "QueueOptions | None" = None
    """Options of this job alone, in place of those of its queue; all but `serializer`."""


def check_function(function: Function) -> None:
    """Raises InvalidCall for what a host could not import by its path."""
    if isinstance(function, str):
        _check_path(function)
    elif inspect.isclass(function) or not callable(function):
        raise InvalidCall(f"{function!r} cannot be a job: give a function, or its path as text (module.function)")
    elif inspect.isfunction(function) or inspect.isbuiltin(function):
        _check_importable(function)
    else:
        owner = type(function.__self__ if inspect.ismethod(function) else function)
        if owner.__module__ == "__main__":
            raise InvalidCall(_main_module(f"the class {owner.__qualname__}"))


def check_job_id(job_id: str) -> None:
    """Raises InvalidCall unless the id is letters, digits, `_` and `-`."""
    if not isinstance(job_id, str) or not _JOB_ID.fullmatch(job_id):
        raise InvalidCall(f"job id {job_id!r}: use letters, digits, _ and - only")


def check_serializable(call: Call, instance: object, serializer: Serializes) -> None:
    """Raises InvalidCall naming the argument that the serializer refuses."""
    for name, value in _arguments(call, instance):
        try:
            serializer.dumps(value)
        except Exception as error:
            raise InvalidCall(
                f"{name} of {name_of(call.function)} cannot be sent to another process: "
                f"{type(error).__name__}: {error}. Pass plain data, such as an id that the job looks up."
            ) from error


def _check_path(path: str) -> None:
    parts = path.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise InvalidCall(f"{path!r} is no path of a function: write module.function, as in shop.bill")
    if parts[0] == "__main__":
        raise InvalidCall(_main_module(parts[-1]))


def _check_importable(function: Callable[..., Any]) -> None:
    name, module = function.__qualname__, function.__module__
    if "<lambda>" in name:
        raise InvalidCall("a lambda cannot be a job: hosts import the function by its name. Define it in a module.")
    if "<locals>" in name:
        raise InvalidCall(
            f"{name.replace('.<locals>', '')} is defined inside a function, where no host can import it. "
            "Move it to the top level of a module."
        )
    if module == "__main__":
        raise InvalidCall(_main_module(name))
    found: Any = sys.modules.get(module or "")
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        raise InvalidCall(
            f"{name} cannot be found in the module {module}, where hosts would import it. "
            "Give its path as text (module.function)."
        )


def _main_module(name: str) -> str:
    return (
        f"{name} belongs to the script that was started (__main__), which hosts cannot import. "
        "Move it into a module, or give its path as text (module.function)."
    )


def _arguments(call: Call, instance: object) -> Iterator[tuple[str, object]]:
    if instance is not None:
        yield "the object", instance
    for number, value in enumerate(call.args, 1):
        yield f"argument {number}", value
    for name, value in call.kwargs.items():
        yield f"argument {name!r}", value


def name_of(function: Function) -> str:
    return function if isinstance(function, str) else getattr(function, "__qualname__", repr(function))
