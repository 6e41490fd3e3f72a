"""Waiting for something to happen, without taking any job."""

from typing import cast

import redis.asyncio

WAIT_SECONDS = 2.0
"""Longer than one beat, shorter than the answer timeout of a client: a lost connection is noticed."""


RESERVED = b"reserved"
"""What is rung when the host may take jobs of other queues than before. Anything else: something was placed."""


async def wait_for_bell(client: redis.asyncio.Redis, key: str) -> bytes | None:
    """What the bell says, None after `WAIT_SECONDS` of silence. Raises redis-py's errors."""
    rung = cast("tuple[bytes, bytes] | None", await client.blpop([key], timeout=WAIT_SECONDS))
    return None if rung is None else rung[1]
