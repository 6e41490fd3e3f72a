"""How log lines look: for people, or one JSON object a line."""

import json
import logging
import sys
from datetime import UTC, datetime


class _TextFormatter(logging.Formatter):
    def __init__(self, name: str) -> None:
        super().__init__(f"%(asctime)s %(levelname)-7s {name}: %(message)s", "%H:%M:%S")


class _JsonFormatter(logging.Formatter):
    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "source": self._name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def configure(level: str, log_format: str, name: str) -> None:
    """Sends all log lines of this process to stderr. `name` says who speaks: a host, or the coordinator."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter(name) if log_format == "json" else _TextFormatter(name))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
