"""A moment of an attempt as it is written: in Unix seconds for the scripts, and as RQ writes dates."""

from datetime import UTC, datetime

_DIGITS = 6
_second = ("0", "1970-01-01T00:00:00")


def written(seconds: float) -> tuple[str, bytes]:
    """Both of a moment after 1970, to the microsecond. `seconds`: Unix time."""
    text = str(round(seconds * 1_000_000))
    whole, rest = text[:-_DIGITS], text[-_DIGITS:]
    kept, date = _second
    if whole != kept:
        date = _begin_second(whole)
    return f"{whole}.{rest}", f"{date}.{rest}Z".encode()


def _begin_second(whole: str) -> str:
    global _second  # noqa: PLW0603 - jobs that end in one second have most of their time in common
    date = datetime.fromtimestamp(int(whole), UTC).strftime("%Y-%m-%dT%H:%M:%S")
    _second = (whole, date)
    return date
