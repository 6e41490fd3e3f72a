"""Any command of Redis as a person types it, and its reply as it came: for `farm redis`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Union

import redis

Reply = Union[int, bytes, None, "ErrorReply", list["Reply"]]

STREAMING = frozenset({"MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"})
"""Commands whose replies go on until the connection is closed."""


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """What Redis answered instead of a result."""

    text: str


class Console:
    """One connection, so that SELECT, MULTI and WATCH work from one command to the next. Waits as long as it takes."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, words: Sequence[str | bytes]) -> Iterator[Reply]:
        """The reply to one command; for commands of `STREAMING`, replies until the caller stops."""
        self._connection.send_command(*words)
        yield self._read()
        first = words[0].decode("ascii", "replace") if isinstance(words[0], bytes) else words[0]
        while first.upper() in STREAMING:
            yield self._read()

    def _read(self) -> Reply:
        try:
            return _reply(self._connection.read_response())
        except redis.ResponseError as error:
            return ErrorReply(str(error))


@contextmanager
def open_console(client: redis.Redis) -> Iterator[Console]:
    """A console on a connection of its own, to the Redis of `client`."""
    connection: Any = client.connection_pool.make_connection()  # redis-py types it as less than it is
    connection.socket_timeout = None  # BLPOP and MONITOR may wait; a person ends them
    try:
        connection.connect()
        yield Console(connection)
    finally:
        connection.disconnect()


def _reply(value: Any) -> Reply:
    if isinstance(value, list):
        return [_reply(item) for item in value]
    if isinstance(value, Exception):
        return ErrorReply(str(value))
    if isinstance(value, str):
        return value.encode()
    assert value is None or isinstance(value, int | bytes)
    return value
