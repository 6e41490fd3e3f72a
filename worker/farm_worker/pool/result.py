"""A job's return value, as it is stored."""

from binascii import b2a_base64
from typing import Any

from rq.defaults import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from rq.job import Retry

from farm.errors import JobError

MAX_BYTES = 480 * 1024 * 1024
"""Redis takes no value over 512 MB, and a result travels with outcomes of other jobs (`outcomes.FULL_BATCH_BYTES`)."""


class ResultNotStorable(JobError):
    """A job ran to its end and returned what cannot be stored. Running it again would not help."""


def encode(value: Any, serializer: Any) -> bytes:
    """RQ's `return_value` field. Raises ResultNotStorable."""
    if value is None:
        return b""
    try:
        encoded = b2a_base64(serializer.dumps(value), newline=False)
    except Exception as error:
        raise ResultNotStorable(
            f"the job ran, but its result of type {type(value).__qualname__} cannot be encoded: "
            f"{type(error).__name__}: {error}. Return something else, or set result_ttl=0 to keep no results."
        ) from error
    if len(encoded) > MAX_BYTES:
        raise ResultNotStorable(
            f"the job ran, but its result has {len(encoded)} bytes and {MAX_BYTES} can be stored at most. "
            "Return a reference to it, or set result_ttl=0 to keep no results."
        )
    return encoded


def encode_retry(retry: Retry, serializer: Any) -> bytes:
    """A returned `Retry` as RQ records it: with a serializer that does not know it (JSON), as RQ's marker."""
    try:
        return b2a_base64(serializer.dumps(retry), newline=False)
    except Exception:  # noqa: BLE001 - serializers are the user's choice
        return b2a_base64(serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD), newline=False)
