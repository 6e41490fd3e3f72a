"""The process's end of its two channels to the host. See `protocol` for what they carry."""

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from farm_worker.pool.protocol import TOKEN, FrameReader, Message, Output, RunJob, RunJobs, encode
from farm_worker.pool.watch_messages import Watch

if TYPE_CHECKING:
    from farm_worker.pool.queue_watcher import QueueWatcher

RECEIVE_BYTES = 1 << 16
SAY_BYTES = 1 << 15
"""Of what is said at once. The system takes so much as a whole or not at all: whoever interrupts a job, with a time
limit or a signal, then never leaves half a message."""
SAY_MILLISECONDS = 250
"""How long a job waits for a host that does not take what it says. Then what it says is lost, until the host does."""

_HAS_TOKEN = (RunJob, Watch)


class ProtocolError(Exception):
    """The host sent what it may not send. The process ends: it no longer knows which jobs are its own."""


class Inlet:
    """Messages of the host, and answers to it. All but `say` blocks until it is done.

    All threads may send, and signal handlers too: what they send while a message is under way follows it.
    """

    def __init__(self, stream_descriptor: int, token_descriptor: int | None = None) -> None:
        """Takes the descriptors over. What this process starts does not inherit them."""
        self._stream = socket.socket(fileno=stream_descriptor)
        self._stream.set_inheritable(False)
        self._stream.setblocking(True)
        self._reader = FrameReader()
        self.messages: deque[Message] = deque()
        """What was received and not taken yet, in order. Jobs among it may be taken back."""
        self._ended = False
        self.ended = False
        """True once it was found, without waiting, that there will be no more jobs."""
        self._lock = threading.RLock()
        self._sending = False
        self._later: deque[bytes] = deque()
        self._room = select.poll()
        self._room.register(self._stream, select.POLLOUT)
        self._patience = SAY_MILLISECONDS
        self._poll = select.poll()
        self._poll.register(self._stream, select.POLLIN)
        self._tokens = -1
        self._watcher: QueueWatcher | None = None
        self._watched = 0
        """Sequence of the last watch that was begun."""
        if token_descriptor is not None:
            os.set_inheritable(token_descriptor, False)
            self._tokens = token_descriptor
            self._poll.register(token_descriptor, select.POLLIN)

    def send(self, message: Message) -> bool:
        """False when the host is gone."""
        try:
            data = encode(message)
        except UnicodeEncodeError:
            data = _frame_of_odd_text(message)
        with self._lock:
            if self._sending:
                self._later.append(data)
                return True
            self._sending = True
            try:
                if self._later:
                    self._send_later()
                self._stream.sendall(data)
                if self._later:
                    self._send_later()
            except (BrokenPipeError, ConnectionError):
                return False
            finally:
                self._sending = False
        return True

    def say(self, messages: Sequence[Output], *, wait: bool = False) -> int:
        """How many of them were sent: not all when the host is gone, or does not take them in time; `wait` waits."""
        if wait:
            return sum(map(self.send, messages))
        sent = 0
        for count, data in _bundles(messages):
            with self._lock:
                if self._sending:
                    self._later.append(data)
                elif not self._send_soon(data):
                    break
            sent += count
        return sent

    def release(self) -> socket.socket:
        """Gives the stream back, once nothing more is to be received here."""
        return self._stream

    def receive(self) -> Message | None:
        """The next message. None when the host has closed the stream."""
        while not self.messages:
            if self._ended:
                return None
            self._fill()
        return self.messages.popleft()

    def next_job(self) -> RunJob | None:
        """The next job whose token this process got: from here on it is begun. None when there will be no more.

        Frames before it belong to jobs that the host took back.
        """
        messages = self.messages
        while (token := self._next_token()) is not None:
            # As `_job_of` begins: mostly that is all, and between two jobs its call is dear.
            if messages and isinstance(first := messages[0], RunJob) and first.sequence == token:
                messages.popleft()
                return first
            if (job := self._job_of(token)) is not None:
                return job
        return None

    def watch_with(self, watcher: "QueueWatcher") -> None:
        """From here on `next_job` begins watches that the host lends, and returns what they bring."""
        self._watcher = watcher

    def next_job_now(self) -> RunJob | None:
        """The next job if its token is there already. None if there is none now; see `ended`."""
        try:
            data = os.read(self._tokens, TOKEN.size)
        except BlockingIOError:
            return None
        if not data:
            self.ended = True
            return None
        return self._job_of(TOKEN.unpack(data)[0])

    def take_in(self) -> None:
        """Takes in what the stream has. Waits for nothing: a job that was asked for meanwhile may have taken it."""
        with suppress(BlockingIOError):
            self._fill(socket.MSG_DONTWAIT)
        self.ended = self.ended or self._ended

    @property
    def descriptors(self) -> tuple[int, int]:
        """Of the stream and of the tokens, for those who wait for either."""
        return self._stream.fileno(), self._tokens

    def _job_of(self, token: int) -> RunJob | None:
        """None for a watch that brought nothing, and at the end."""
        messages = self.messages
        while (message := messages.popleft() if messages else self.receive()) is not None:
            if isinstance(message, RunJob) and message.sequence == token:
                return message
            if not isinstance(message, _HAS_TOKEN) or message.sequence > token:
                raise ProtocolError(f"got the token of job {token} before its frame: {message!r:.200}")
            if isinstance(message, Watch) and message.sequence == token:
                return self._end_watch(message)
        return None

    def _end_watch(self, watch: Watch) -> RunJob | None:
        if self._watcher is None:
            raise ProtocolError(f"got watch {watch.sequence}, and can't watch")
        said, job = self._watcher.answer(watch)
        return job if self.send(said) else None

    def _send_soon(self, data: bytes) -> bool:
        self._sending = True
        try:
            sent = self._send_now(data)
            if sent is None and self._room.poll(self._patience):
                sent = self._send_now(data)
            self._patience = 0 if sent is None else SAY_MILLISECONDS
            if sent is None:
                return False
            if sent < len(data):
                self._stream.sendall(data[sent:])
            self._send_later()
        except (BrokenPipeError, ConnectionError):
            return False
        finally:
            self._sending = False
        return True

    def _send_now(self, data: bytes) -> int | None:
        try:
            return self._stream.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _send_later(self) -> None:
        while self._later:
            self._stream.sendall(self._later.popleft())

    def _next_token(self) -> int | None:
        waits = not self.messages  # the token of a watch is not read before the watch was seen
        while True:
            if waits and not self._wait_for_token():
                return None
            try:
                data = os.read(self._tokens, TOKEN.size)
            except BlockingIOError:
                waits = True
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
            ready = dict(self._poll.poll())
            if self._stream.fileno() in ready:
                self._fill()
                if (watch := self._new_watch()) is not None:
                    if self._watch(watch):
                        return True
                    continue
            if self._tokens in ready:
                return True
        return False

    def _new_watch(self) -> Watch | None:
        """A watch, if that is what the host said last."""
        last = self.messages[-1] if self.messages else None
        return last if isinstance(last, Watch) and last.sequence > self._watched else None

    def _watch(self, watch: Watch) -> bool:
        """Waits at Redis. True once a token has to tell whether what came is begun; False if the host was first."""
        self._watched = watch.sequence
        return self._watcher is None or self._watcher.wait(watch, self._stream.fileno(), self._tokens)

    def _fill(self, flags: int = 0) -> None:
        try:
            data = self._stream.recv(RECEIVE_BYTES, flags)
        except ConnectionError:
            data = b""
        self._ended = not data
        for message in self._reader.feed(data):
            if isinstance(message, RunJobs):
                self.messages.extend(message.jobs)
            else:
                self.messages.append(message)


def _bundles(messages: Sequence[Output]) -> Iterator[tuple[int, bytes]]:
    """Frames in pieces that are sent at once, each with its number of messages."""
    frames: list[bytes] = []
    size = 0
    for frame in map(_frame, messages):
        if frames and size + len(frame) > SAY_BYTES:
            yield len(frames), b"".join(frames)
            frames, size = [], 0
        frames.append(frame)
        size += len(frame)
    if frames:
        yield len(frames), b"".join(frames)


def _frame(message: Message) -> bytes:
    try:
        return encode(message)
    except UnicodeEncodeError:
        return _frame_of_odd_text(message)


def _frame_of_odd_text(message: Message) -> bytes:
    """Of one with half of a surrogate pair, as file names may have. Raises UnicodeEncodeError where none may be."""
    if isinstance(message, Output):
        for name in ("text", "logger", "exception"):
            setattr(message, name, getattr(message, name).encode("utf-8", "backslashreplace").decode())
    return encode(message)
