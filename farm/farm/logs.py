"""How log lines look, for people or one JSON object a line, and where they go."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from farm.log_writer import LogWriter

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_logger = logging.getLogger("farm")


class _TextFormatter(logging.Formatter):
    """A record may have a `prefix` for its text. Characters that would work on a terminal are shown as `\\x1b`."""

    def __init__(self, name: str) -> None:
        form = f"%(asctime)s %(levelname)-7s {name}: %(prefix)s%(message)s"
        super().__init__(form, "%H:%M:%S", defaults={"prefix": ""})

    def format(self, record: logging.LogRecord) -> str:
        return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", super().format(record))


class _JsonFormatter(logging.Formatter):
    """What a record has as its `fields` are names of the object too."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "source": self.name,
            "message": record.getMessage(),
        }
        if record.exc_info or record.exc_text:
            entry["exception"] = record.exc_text or self.formatException(record.exc_info or (None, None, None))
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        return json.dumps({**entry, **fields, **entry}, ensure_ascii=False, default=str)


class _QueuedHandler(logging.Handler):
    """Formats here, writes elsewhere."""

    def __init__(self, writer: LogWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(self.format(record))
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def configure(level: str, log_format: str, name: str, *, queued: bool = False) -> None:
    """Sends all log lines of this process to stderr. `name` says who speaks: a host, or the coordinator.

    `queued`: a thread writes them. Nobody here ever waits for who reads them; what is too much is counted and said.
    """
    global _writer  # noqa: PLW0603 - as there is one stderr
    formatter = _JsonFormatter(name) if log_format == "json" else _TextFormatter(name)
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if queued:
        _writer = _writer or LogWriter(sys.stderr.fileno(), _describe_lost)
        handler = _QueuedHandler(_writer)
        sys.excepthook = _log_uncaught
        logging.captureWarnings(capture=True)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def name_source(name: str) -> None:
    """From here on JSON lines have this name as their `source`: that of the host, once it is known."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, _JsonFormatter):
            handler.formatter.name = name


def say(text: str, level: int = logging.INFO) -> None:
    """A line for who started this process: as it is, or a record where lines are JSON."""
    if any(isinstance(handler.formatter, _JsonFormatter) for handler in logging.getLogger().handlers):
        _logger.log(level, "%s", text)
    elif _writer is not None:
        _writer.write(text)
    else:
        print(text, file=sys.stderr)


def finish() -> None:
    """Before this process becomes another program: waits until what was logged is written, but not for long."""
    if _writer is not None:
        _writer.close()


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    _logger.critical("ended by an error", exc_info=(kind, error, traceback))


def _describe_lost(count: int) -> str:
    text = "%d lines of this log were lost: nobody read them in time"
    record = _logger.makeRecord(_logger.name, logging.WARNING, __file__, 0, text, (count,), None)
    return logging.getLogger().handlers[0].format(record)


_writer: LogWriter | None = None
