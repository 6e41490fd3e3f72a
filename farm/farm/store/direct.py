"""Commands on connections of a client's pool, without what redis-py's client and pool do around each command.

That takes as long as all else that there is to do to enqueue one job. What it is for, repeats and figures for
OpenTelemetry, clients made by `connect` do not use.
"""

import os
import select
from collections import deque
from typing import Any, cast
from weakref import WeakSet

import hiredis
import redis

from farm.store.connection import connection_of
from farm.store.server_errors import error_of

Part = str | bytes | int | float

READ_BYTES = 65_536
"""At once. Most replies have less than a hundred."""


class Direct:
    """May be shared by threads: it keeps as many connections as commands were under way at once, at most half of the
    pool's. Ends with its client.
    """

    def __init__(self, client: redis.Redis) -> None:
        """`client`: whose pool the connections are of."""
        self._client = client
        self._most_kept = client.connection_pool.max_connections // 2
        self._idle: deque[_Held] = deque()
        _all.add(self)

    def ask(self, *command: Part) -> Any:
        """The reply. Raises redis-py's errors."""
        return self.ask_packed(hiredis.pack_command(cast("Any", command)))

    def ask_packed(self, packed: bytes) -> Any:
        """The same for a command that is a message already."""
        try:
            held = self._idle.pop()
        except IndexError:
            held = _Held(connection_of(self._client))
        try:
            return held.ask(packed)
        finally:
            if len(self._idle) < self._most_kept:
                self._idle.append(held)
            else:
                self._client.connection_pool.release(held.connection)

    def forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._idle = deque()


class _Held:
    """One connection that is not given back to its pool. redis-py makes it, and is out of the way from then on."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._read = bytearray(READ_BYTES)
        self._begin()

    def ask(self, packed: bytes) -> Any:
        connection = self.connection
        if connection._sock is None or self._poll.poll(0):  # noqa: SLF001 - closed, or there is what nobody asked for
            connection.disconnect()
            connection.connect()
            self._begin()
        try:
            reply = self._exchange(connection._sock, packed)  # noqa: SLF001 - there is no other way to it
        except BaseException as error:
            connection.disconnect()  # its reply may still come, and be taken for that of the next
            if not isinstance(error, OSError):
                raise
            kind = redis.TimeoutError if isinstance(error, TimeoutError) else redis.ConnectionError
            raise kind(str(error)) from error
        if not isinstance(reply, Exception):
            return reply
        if isinstance(reply, (redis.ConnectionError, redis.exceptions.ReadOnlyError)):
            connection.disconnect()  # the next one may lead to a server that can
        raise reply

    def _exchange(self, sock: Any, packed: bytes) -> Any:
        sock.sendall(packed)
        reply: Any = False
        while reply is False:
            size = sock.recv_into(self._read)
            if not size:
                raise ConnectionError("the server closed the connection")
            self._reader.feed(self._read, 0, size)
            reply = self._reader.gets()
        return reply

    def _begin(self) -> None:
        """With a connection that is new."""
        self._reader: Any = hiredis.Reader(protocolError=redis.InvalidResponse, replyError=error_of)
        self._poll = select.poll()
        self._poll.register(self.connection._sock, select.POLLIN)  # noqa: SLF001 - there is no other way to it


def _forget_all() -> None:
    for direct in _all:
        direct.forget()


_all: WeakSet[Direct] = WeakSet()
os.register_at_fork(after_in_child=_forget_all)
