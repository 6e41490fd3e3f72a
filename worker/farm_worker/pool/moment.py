"""A moment of an attempt as it is written: in Unix seconds for the scripts, and as RQ writes dates."""

from farm.records import iso

_latest = (-1, b"", b"")
"""A second, and what all its moments begin with: most that are written are of the latest. Threads replace it whole."""


def written(seconds: float) -> tuple[bytes, bytes]:
    """Both of a moment after 1970, to the microsecond. `seconds`: Unix time."""
    second, microsecond = divmod(round(seconds * 1_000_000), 1_000_000)
    number, text, date = _latest
    if number != second:
        _, text, date = _begin(second)
    fraction = b"%06d" % microsecond
    return text + fraction, date + fraction + b"Z"


def time_fields(began: bytes, ended: bytes) -> list[bytes]:
    """Flat fields of an attempt's times, which are dates as RQ writes them."""
    return [b"started_at", began, b"ended_at", ended, b"last_heartbeat", ended]


def _begin(second: int) -> tuple[int, bytes, bytes]:
    global _latest  # noqa: PLW0603 - as there is one clock
    date = iso(f"{second}000000").encode().removesuffix(b"000000Z")
    _latest = latest = (second, b"%d." % second, date)
    return latest
