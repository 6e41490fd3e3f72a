"""A moment of an attempt as it is written: in Unix seconds for the scripts, and as RQ writes dates."""

from functools import lru_cache

from farm.records import iso


def written(seconds: float) -> tuple[bytes, bytes]:
    """Both of a moment after 1970, to the microsecond. `seconds`: Unix time."""
    microseconds = b"%d" % round(seconds * 1_000_000)
    second, fraction = microseconds[:-6], microseconds[-6:]
    return second + b"." + fraction, _date(second) + fraction + b"Z"


@lru_cache(maxsize=4)  # as in `records`: what is written within one second has most of it in common
def _date(second: bytes) -> bytes:
    return iso(f"{second.decode()}000000").removesuffix("000000Z").encode()
