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

Part = str | bytes | int | float


class Direct:
    """May be shared by threads: it has as many connections as commands were under way at once. Ends with its client."""

    def __init__(self, client: redis.Redis) -> None:
        """`client`: whose pool the connections are of."""
        self._client = client
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
            self._idle.append(held)

    def forget(self) -> None:
        """After a fork: the connections are the parent's."""
        self._idle = deque()


class _Held:
    """One connection that is not given back to its pool."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._watch()

    def ask(self, packed: bytes) -> Any:
        connection = self._connection
        if self._poll.poll(0):  # it was closed meanwhile, or there is what nobody asked for
            connection.disconnect()
            connection.connect()
            self._watch()
        try:
            connection.send_packed_command([packed])
            return connection.read_response()
        except redis.ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # its reply may still come, and be taken for that of the next
            raise

    def _watch(self) -> None:
        self._poll = select.poll()
        self._poll.register(self._connection._sock, select.POLLIN)  # noqa: SLF001 - there is no other way to it


def _forget_all() -> None:
    for direct in _all:
        direct.forget()


_all: WeakSet[Direct] = WeakSet()
os.register_at_fork(after_in_child=_forget_all)
