"""A moment of an attempt as it is written: in Unix seconds for the scripts, and as RQ writes dates."""

from farm.records import iso


def written(seconds: float) -> tuple[str, bytes]:
    """Both of a moment after 1970, to the microsecond. `seconds`: Unix time."""
    microseconds = str(round(seconds * 1_000_000))
    return f"{microseconds[:-6]}.{microseconds[-6:]}", iso(microseconds).encode()
