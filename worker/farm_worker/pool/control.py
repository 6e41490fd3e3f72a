"""The host's end of the control line: one ping at a time, and requests to end a job."""

import asyncio
import socket
import time
from contextlib import suppress
from math import inf

from farm_worker.pool.protocol import (
    CancelJob,
    FrameReader,
    InterruptJob,
    Message,
    Ping,
    Pong,
    Renewed,
    StopJob,
    encode,
)

RECEIVE_BYTES = 4096
MAX_REASON = 1000


class ControlLine:
    """Asks one process whether it answers. Nothing blocks: for a line that is full a message is dropped."""

    def __init__(self, control: socket.socket) -> None:
        """The socket stays its owner's; `close` before it is closed."""
        self.last_pong_at = -inf
        """Monotonic seconds. `-inf`: never."""
        self.asked_at = inf
        """When the ping was sent that is not answered yet; `inf` when there is none. `forgive` moves it."""
        self.last_asked_at = -inf
        self._sent_at = 0.0
        self._slowest = 0.0
        self._sequence = 0
        self._control = control
        self._reader = FrameReader()
        self._loop = asyncio.get_running_loop()
        self._listening = True
        self._loop.add_reader(control, self._readable)

    def ask(self, now: float) -> None:
        """Sends a ping, unless one is unanswered."""
        if self.asked_at == inf:
            self._sequence += 1
            self.asked_at = self.last_asked_at = self._sent_at = now
            self._send(Ping(self._sequence))

    def silent_for(self, now: float) -> float:
        """Seconds that the ping waits for its answer; 0 when none does."""
        return max(0.0, now - self.asked_at)

    def forgive(self, now: float) -> None:
        """Waiting counts from now: the host itself was away."""
        if self.asked_at != inf:
            self.asked_at = now

    def take_slowest(self) -> float:
        """The longest round trip in seconds since the last call, 0 if there was none."""
        slowest, self._slowest = self._slowest, 0.0
        return slowest

    def cancel(self, sequence: int, reason: str) -> bool:
        """Asks the job of this sequence to end. False: the line is full or gone."""
        return self._send(CancelJob(sequence, reason[:MAX_REASON]))

    def stop(self, sequence: int) -> bool:
        """Cancels the coroutine of this sequence's job. False: the line is full or gone."""
        return self._send(StopJob(sequence))

    def interrupt(self, seconds: float) -> bool:
        """Raises JobInterrupted in the job that runs; all that follows it has `seconds`. False: it can't be told."""
        return self._send(InterruptJob(seconds))

    def renew(self, expires_at: float) -> bool:
        """Moves the time by which a job that must not run twice is over. False: the line is full or gone."""
        return self._send(Renewed(expires_at))

    def close(self) -> None:
        """Listens no more."""
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._control)

    def _send(self, message: Message) -> bool:
        frame = encode(message)
        with suppress(OSError):
            return self._control.send(frame) == len(frame)
        return False

    def _readable(self) -> None:
        try:
            data = self._control.recv(RECEIVE_BYTES)
            messages = self._reader.feed(data)
        except BlockingIOError:
            return
        except (OSError, ValueError):  # gone, or nonsense: it is silent from now on
            data, messages = b"", []
        if not data:
            self.close()
        for message in messages:
            if isinstance(message, Pong) and message.sequence == self._sequence:
                self._note_pong(time.monotonic())

    def _note_pong(self, now: float) -> None:
        if self.asked_at == inf:
            return
        self.asked_at = inf
        if self.last_pong_at > -inf:  # the first answer waited for the process to come up
            self._slowest = max(self._slowest, now - self._sent_at)
        self.last_pong_at = now
