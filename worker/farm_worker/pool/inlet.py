"""The process's end of its two channels to the host. See `protocol` for what they carry."""

import os
import select
import socket
from collections import deque

from farm_worker.pool.protocol import TOKEN, FrameReader, Message, RunJob, encode

RECEIVE_BYTES = 1 << 16


class ProtocolError(Exception):
    """The host sent what it may not send. The process ends: it no longer knows which jobs are its own."""


class Inlet:
    """Messages of the host, and answers to it. Everything here blocks until it is done."""

    def __init__(self, stream_descriptor: int, token_descriptor: int | None = None) -> None:
        """Takes the descriptors over. What this process starts does not inherit them."""
        self._stream = socket.socket(fileno=stream_descriptor)
        self._stream.set_inheritable(False)
        self._stream.setblocking(True)
        self._reader = FrameReader()
        self._messages: deque[Message] = deque()
        self._ended = False
        self._poll = select.poll()
        self._poll.register(self._stream, select.POLLIN)
        self._tokens = -1
        if token_descriptor is not None:
            os.set_inheritable(token_descriptor, False)
            self._tokens = token_descriptor
            self._poll.register(token_descriptor, select.POLLIN)

    def send(self, message: Message) -> bool:
        """False when the host is gone."""
        try:
            self._stream.sendall(encode(message))
        except (BrokenPipeError, ConnectionError):
            return False
        return True

    def receive(self) -> Message | None:
        """The next message. None when the host has closed the stream."""
        while not self._messages:
            if self._ended:
                return None
            self._fill()
        return self._messages.popleft()

    def next_job(self) -> RunJob | None:
        """The next job whose token this process got: from here on it is begun. None when there will be no more.

        Frames before it belong to jobs that the host took back.
        """
        token = self._next_token()
        if token is None:
            return None
        while (message := self.receive()) is not None:
            if not isinstance(message, RunJob) or message.sequence > token:
                raise ProtocolError(f"got the token of job {token} before its frame: {message!r:.200}")
            if message.sequence == token:
                return message
        return None

    def _next_token(self) -> int | None:
        while True:
            try:
                data = os.read(self._tokens, TOKEN.size)
            except BlockingIOError:
                if not self._wait_for_token():
                    return None
                continue
            if not data:
                return None
            token: int = TOKEN.unpack(data)[0]
            return token

    def _wait_for_token(self) -> bool:
        """Takes in frames meanwhile: the host writes a token only after the whole frame, for which there must be room.

        False when the host is gone.
        """
        while not self._ended:
            ready = {descriptor for descriptor, _ in self._poll.poll()}
            if self._tokens in ready:
                return True
            self._fill()
        return False

    def _fill(self) -> None:
        try:
            data = self._stream.recv(RECEIVE_BYTES)
        except ConnectionError:
            data = b""
        self._ended = not data
        self._messages.extend(self._reader.feed(data))
