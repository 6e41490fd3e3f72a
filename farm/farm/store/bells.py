"""Waiting for something to happen, without taking any job."""

from typing import cast

import redis.asyncio

WAIT_SECONDS = 2.0
"""Longer than one beat, shorter than the answer timeout of a client: a lost connection is noticed."""


async def wait_for_bell(client: redis.asyncio.Redis, key: str) -> bool:
    """True when the bell rang, False after `WAIT_SECONDS` of silence. Raises redis-py's errors."""
    return cast("object", await client.blpop([key], timeout=WAIT_SECONDS)) is not None
