"""Fields of RQ's hashes and streams as values.

What cannot be read is None or empty: nothing here raises or unpickles.
"""

import base64
import json
import zlib
from datetime import UTC, datetime

TRACEBACK_BYTES = 1_000_000
"""Longer traceback texts are cut."""

_SHOWN_AS = {"deferred": "dependent", "ready_to_enqueue": "ready"}
"""RQ's word for a state → ours. RQ says deferred for jobs that wait for other jobs."""


def shown(status: str) -> str:
    """RQ's status in our words; `created` for none."""
    return _SHOWN_AS.get(status, status or "created")


def text(value: bytes | str | None) -> str:
    """What is not UTF-8 is replaced; None is empty."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def id_from(raw: bytes) -> str:
    """A job's id as text from which `id_to` makes the same bytes again, whatever they are."""
    return raw.decode("utf-8", "surrogateescape")


def id_to(job_id: str) -> bytes:
    """A job's id as Redis has it."""
    return job_id.encode("utf-8", "surrogateescape")


def number(value: bytes | None) -> int | None:
    """A whole number."""
    try:
        return int(value) if value else None
    except ValueError:
        return None


def moment(value: bytes | str | float | None) -> datetime | None:
    """From ISO 8601 or unix seconds. Aware; a time without zone is UTC."""
    if not value:
        return None
    written = text(value) if not isinstance(value, float) else str(value)
    try:
        return datetime.fromtimestamp(float(written), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def job_ids(value: bytes | None) -> tuple[str, ...]:
    """From a JSON list."""
    try:
        listed = json.loads(value) if value else []
    except ValueError:
        return ()
    return tuple(map(str, listed)) if isinstance(listed, list) else ()


def function_of(description: str) -> str:
    """What a description begins with: by default the path of the job's function."""
    return description.partition("(")[0][:200]


def declines(value: bytes | str | None, now: float) -> dict[str, tuple[float, str]]:
    """`<host>|<identity>` → until when (Unix seconds) and why it declined a job, of those that hold at `now`.

    `value`: the field `farm_declined`. What is no such record declines nothing.
    """
    try:
        entries = json.loads(value) if value else {}
    except ValueError:
        return {}
    found = {}
    for who, said in entries.items() if isinstance(entries, dict) else ():
        until = said.get("until") if isinstance(said, dict) else None
        if isinstance(until, int | float) and until > now:
            found[who] = (float(until), str(said.get("reason", "")))
    return found


def unpacked(value: bytes | None) -> bytes | None:
    """A return value as RQ's serializer wrote it."""
    try:
        return base64.b64decode(value) if value else None
    except ValueError:
        return None


def traceback_of(value: bytes | None) -> str | None:
    """RQ's `exc_string`."""
    if not value:
        return None
    try:
        return text(zlib.decompressobj().decompress(base64.b64decode(value), TRACEBACK_BYTES))
    except (ValueError, zlib.error):
        return None


def last_line(traceback: str | None) -> str | None:
    """What a traceback comes to."""
    lines = (traceback or "").strip().splitlines()
    return lines[-1].strip() if lines else None
