"""What is told of an exception: the text that is stored, and the line that is logged."""

import traceback
from types import TracebackType

from farm.errors import FarmError

SUMMARY_CHARACTERS = 300
LAST_LINES = 12
FULL_TEXT_CHARACTERS = 1_000_000
_NOT_THE_USERS = ("farm_worker.", "farm.", "asyncio.", "importlib", "__main__")

ExceptionInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def exception_info(error: BaseException) -> ExceptionInfo:
    """Type, value and traceback, as callbacks get them. The traceback begins in the user's code if it reaches that."""
    return type(error), error, _from_user_code(error.__traceback__)


def full_text(error: BaseException) -> str:
    """The traceback as Python prints it. Of one that would fill the memory of all who read it, beginning and end."""
    try:
        return _cut("".join(traceback.format_exception(*exception_info(error))))
    except Exception as second:  # noqa: BLE001 - exceptions are the user's code and may do anything
        return f"{type(error).__name__}\n(its traceback cannot be shown: {type(second).__name__})\n"


def explain(error: BaseException) -> str:
    """Why a process could not start: the error's text, and the end of the traceback of what the user's code raised."""
    cause = error if not isinstance(error, FarmError) else error.__cause__
    text = str(error) if isinstance(error, FarmError) else summarize(error)
    return text if cause is None else f"{text}\n{last_lines(cause)}"


def last_lines(error: BaseException) -> str:
    """The end of the traceback, where the reason stands."""
    text = "\n".join(full_text(error).rstrip().splitlines()[-LAST_LINES:])
    return text.encode("utf-8", "backslashreplace").decode()


def summarize(error: BaseException) -> str:
    """One line: type and text."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - see full_text
        text = "<its text cannot be shown>"
    line = " ".join(f"{type(error).__name__}: {text}".split()) if text else type(error).__name__
    line = line.encode("utf-8", "backslashreplace").decode()
    return line if len(line) <= SUMMARY_CHARACTERS else f"{line[: SUMMARY_CHARACTERS - 1]}…"


def _cut(text: str) -> str:
    left_out, half = len(text) - FULL_TEXT_CHARACTERS, FULL_TEXT_CHARACTERS // 2
    return text if left_out <= 0 else f"{text[:half]}\n… {left_out} characters left out …\n{text[-half:]}"


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    first = trace
    while first is not None and str(first.tb_frame.f_globals.get("__name__")).startswith(_NOT_THE_USERS):
        first = first.tb_next
    return first or trace
