"""A client whose messages to Redis are counted: each is a round trip."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from farm.client import Client


@contextmanager
def counting_client(beside: redis.Redis) -> Iterator[tuple[Client, list[object]]]:
    """A client on the same database, and a list to which each message is added as it is sent."""
    pool = beside.connection_pool
    kind: Any = pool.connection_class
    messages: list[object] = []

    class Counting(kind):  # type: ignore[misc]
        def send_packed_command(self, command: object, *more: Any, **named: Any) -> None:
            messages.append(command)
            super().send_packed_command(command, *more, **named)

    connection = redis.Redis(connection_pool=redis.ConnectionPool(Counting, **pool.connection_kwargs))
    with connection, Client(connection=connection) as client:
        yield client, messages
