"""Errors that a server replies with, as redis-py raises them."""

import redis

_KINDS: dict[str, type[redis.ResponseError]] = {
    "NOSCRIPT": redis.exceptions.NoScriptError,
    "OOM": redis.exceptions.OutOfMemoryError,
    "READONLY": redis.exceptions.ReadOnlyError,
    "NOPERM": redis.exceptions.NoPermissionError,
}


def error_of(text: str) -> Exception:
    """For the text of a reply that is an error."""
    code, _, rest = text.partition(" ")
    if code == "LOADING":
        return redis.BusyLoadingError(rest)
    return _KINDS[code](rest) if code in _KINDS else redis.ResponseError(text)
