"""What jobs log: from the root logger of a process to its host."""

import logging
from collections.abc import Callable, Container, Mapping
from typing import Any

import msgspec

from farm_worker.pool.output_lines import MAX_LINE

MAX_FIELDS_BYTES = 16 << 10
_OF_EVERY_RECORD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})

Log = Callable[[int, str, str, str, dict[str, Any]], None]
"""Takes level, logger, text, traceback and fields."""


class JobLogHandler(logging.Handler):
    """Hands records on, but for those that a handler of the user's writes to our streams anyway."""

    def __init__(self, log: Log, buffers: Container[object]) -> None:
        """`buffers`: those beneath our streams."""
        super().__init__()
        self._log = log
        self._buffers = buffers

    def emit(self, record: logging.LogRecord) -> None:
        if self._is_written_by_another(record):
            return
        try:
            text = record.getMessage()
            traceback = self._traceback(record)
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)
            return
        extra = {name: value for name, value in vars(record).items() if name not in _OF_EVERY_RECORD}
        self._log(record.levelno, record.name, _beginning(text), _end(traceback), plain(extra))

    def _is_written_by_another(self, record: logging.LogRecord) -> bool:
        logger = logging.root.manager.loggerDict.get(record.name, logging.root)
        current: logging.Logger | None = logger if isinstance(logger, logging.Logger) else logging.root
        while current is not None:
            for handler in current.handlers:
                if not isinstance(handler, logging.StreamHandler) or record.levelno < handler.level:
                    continue
                if getattr(handler.stream, "buffer", None) in self._buffers:
                    return True
            current = current.parent if current.propagate else None
        return False

    def _traceback(self, record: logging.LogRecord) -> str:
        formatter = self.formatter or _plain_formatter
        text = record.exc_text or (formatter.formatException(record.exc_info) if record.exc_info else "")
        return f"{text}\n{record.stack_info}".strip() if record.stack_info else text


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same with values that JSON knows: what it does not is shown by its text, and too much of it not at all."""
    if not fields:
        return {}
    shown = {str(name): _plain(value) for name, value in fields.items()}
    try:
        size = len(msgspec.msgpack.encode(shown))
    except (ValueError, OverflowError, TypeError, RecursionError):  # half of a surrogate pair; a number beyond 64 bits
        shown = {_clean(name): _clean(str(value)) for name, value in shown.items()}
        size = len(msgspec.msgpack.encode(shown))
    return shown if size <= MAX_FIELDS_BYTES else {"fields_not_shown": size}


def _plain(value: Any) -> Any:
    if type(value) in (str, int, bool, type(None)):
        return value
    try:
        return msgspec.json.decode(msgspec.json.encode(value, enc_hook=str))
    except Exception:  # noqa: BLE001 - whatever the user's __str__ does, and values that contain themselves
        return f"<{type(value).__qualname__}>"


def _beginning(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]} … {len(text) - MAX_LINE:,} more characters not shown"


def _end(text: str) -> str:
    return text if len(text) <= MAX_LINE else f"… {len(text) - MAX_LINE:,} characters not shown\n{text[-MAX_LINE:]}"


def _clean(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


_plain_formatter = logging.Formatter()
