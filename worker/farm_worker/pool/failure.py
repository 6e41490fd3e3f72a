"""What is told of an exception: the text that is stored, the line that is logged, and the job's function not found."""

import base64
import importlib
import sys
import traceback
import zlib
from types import TracebackType
from typing import Any

from rq.exceptions import DeserializationError
from rq.job import Job

SUMMARY_CHARACTERS = 300
_NOT_THE_USERS = ("farm_worker.", "asyncio.")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exception_info(error: BaseException) -> ExceptionInfo:
    """Type, value and traceback, as callbacks get them. The traceback begins in the user's code if it reaches that."""
    return type(error), error, _from_user_code(error.__traceback__)


def full_text(error: BaseException) -> str:
    """The traceback as Python prints it."""
    try:
        return "".join(traceback.format_exception(*exception_info(error)))
    except Exception as second:  # noqa: BLE001 - exceptions are the user's code and may do anything
        return f"{type(error).__name__}\n(its traceback cannot be shown: {type(second).__name__})\n"


def encode_text(text: str) -> bytes:
    """RQ's `exc_string` field."""
    return base64.b64encode(zlib.compress(text.encode("utf-8", "backslashreplace")))


def summarize(error: BaseException) -> str:
    """One line: type and text."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - see full_text
        text = "<its text cannot be shown>"
    line = " ".join(f"{type(error).__name__}: {text}".split()) if text else type(error).__name__
    line = line.encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= SUMMARY_CHARACTERS else f"{line[: SUMMARY_CHARACTERS - 1]}…"


def decode_call(job: Job) -> None:
    """Unpickles function name and arguments. Raises RQ's DeserializationError with the reason in its text."""
    try:
        job.func_name  # noqa: B018 - decodes as a side effect
    except DeserializationError as error:
        reason = summarize(error.__cause__) if error.__cause__ is not None else "no reason given"
        raise DeserializationError(
            f"the payload of job {job.id} cannot be decoded with {_serializer_name(job.serializer)}: {reason}"
        ) from error.__cause__


def find_function(job: Job) -> Any:
    """The job's function. Raises ValueError that says which part of its name could not be found, and why."""
    try:
        return job.func
    except ValueError as error:
        if isinstance(job.func_name, str) and not job.instance:
            raise ValueError(f"{error}: {_why_missing(job.func_name)}") from None
        raise


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and str(first.tb_frame.f_globals.get("__name__")).startswith(_NOT_THE_USERS):
        first = first.tb_next
    return first or trace


def _serializer_name(serializer: Any) -> str:
    kind = serializer if isinstance(serializer, type) else type(serializer)
    return f"{kind.__module__}.{kind.__qualname__}"


def _why_missing(name: str) -> str:
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        module = ".".join(parts[:end])
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                return f"importing {module} raised {summarize(error)}"
        except ImportError as error:
            return f"importing {module} raised {summarize(error)}"
        else:
            return f"module {module} has no {'.'.join(parts[end:])}"
    return f"there is no module {parts[0]!r} in {', '.join(sys.path)}"
