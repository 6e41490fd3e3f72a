"""A process's own connection to Redis for the watch that its host lends it: one message, two replies, nothing else.

redis-py connects it (address, login, Sentinel) and is out of the way from then on. The socket gets a high number, as
all lines of a process have: jobs that turn into daemons close the low ones.
"""

import select
import socket
from contextlib import suppress
from typing import Any

import hiredis
import redis

from farm.descriptor import copy_out_of_reach, end_of_descriptors
from farm.store.connection import REDIS_ERRORS, connect

RECEIVE_BYTES = 1 << 14
"""Of a reply at once. What is received into twice as much and more costs the C library a tidying up each time."""
_BELOW_END = 16
_REPLIES = 2


class WatchLine:
    """Connects when something is sent, and anew after `close`. What goes wrong is a line that is lost, no error."""

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._socket: socket.socket | None = None
        self._idle = select.poll()
        """Of the connection, to look whether the server has hung up since the last watch, or said what nobody asked."""
        self._reader = hiredis.Reader()
        self._replies: list[Any] = []

    @property
    def descriptor(self) -> int:
        """To be waited for; -1 if there is no connection."""
        return -1 if self._socket is None else self._socket.fileno()

    def send(self, message: bytes) -> bool:
        """Says what `QueueWatch.message` made. False: Redis can't be reached, or not like this."""
        self._replies = []
        try:
            if self._socket is None or self._idle.poll(0):
                self.close()
                self._connect()
            assert self._socket is not None
            self._socket.sendall(message)
        except REDIS_ERRORS:
            self.close()
            return False
        return True

    def receive(self) -> list[Any] | None:
        """Both replies once they are there, None until then; does not wait. Empty: the connection is lost.

        An error that the server replies is an object among them.
        """
        assert self._socket is not None
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._replies.append(reply)
        except hiredis.ProtocolError:
            self.close()
            return []
        return self._replies if len(self._replies) == _REPLIES else None

    def close(self) -> None:
        """Hangs up: what Redis has not done by then, it will not do, as far as it hears of this in time."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # a job may have forked, and its processes hold it as well
            self._socket.close()
            self._socket = None
        self._reader = hiredis.Reader()

    def _connect(self) -> None:
        """Raises redis-py's errors and OSError."""
        with connect(self._redis_url, name="farm-process-queue") as client:
            connection: Any = client.connection_pool.make_connection()
            connection.connect()
            low, connection._sock = connection._sock, None  # noqa: SLF001 - there is no other way to it
            with low:
                if type(low) is not socket.socket:
                    raise redis.ConnectionError("what TLS knows of a connection can't be taken over")
                self._socket = _high(low)
        self._socket.setblocking(False)
        self._idle = select.poll()
        self._idle.register(self._socket, select.POLLIN)


def _high(low: socket.socket) -> socket.socket:
    return socket.socket(fileno=copy_out_of_reach(low.fileno(), end_of_descriptors() - _BELOW_END))
