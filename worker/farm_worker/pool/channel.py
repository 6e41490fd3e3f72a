"""The parent's end of the two channels to one process. See `protocol` for what they carry."""

import asyncio
import fcntl
import os
import socket
import struct
import termios
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from farm_worker.pool.lines import Lines
from farm_worker.pool.protocol import TOKEN, FrameReader, Message, RunJob, RunJobs, encode
from farm_worker.pool.watch_messages import Watch

RECEIVE_BYTES = 65536
"""Below the size from which the allocator maps memory afresh for every call."""
_RECEIVES_AT_ONCE = 16
"""A process with endless large answers must not keep the loop from the others: 1 MB, then their turn."""
_FRAMES_AT_ONCE = 64
_TOKENS_AT_ONCE = 64
"""512 bytes: pipes take as much in one piece everywhere, so no token is ever cut."""
_READ_BYTES = 4096


class Channel:
    """Frames go out in order, each followed by its token; messages come in. Nothing blocks.

    A token leaves only once its whole frame has: what was not given to the process yet is taken back without asking it.
    """

    def __init__(self, lines: Lines, receive: Callable[[list[Message]], None], broken: Callable[[str], None]) -> None:
        """`receive` gets messages as they come; `broken` once, with "" at the end of the stream, else what is wrong."""
        self._loop = asyncio.get_running_loop()
        self._stream = lines.stream
        self._token_write: int | None = lines.token_write
        self._token_read: int | None = lines.token_read
        self._receive = receive
        self._broken = broken
        self._reader = FrameReader()
        self._jobs: list[RunJob] = []
        """Given in this turn of the loop."""
        self._frames: deque[tuple[bytes | memoryview, Sequence[int]]] = deque()
        """Frames that the socket did not take yet, each with the sequences of its jobs."""
        self._tokens: deque[int] = deque()
        """Sequences whose frame is out and whose token is not."""
        self._head_is_cut = False
        self._flush_planned = False
        self._watched: socket.socket | int | None = None
        """What the loop tells us the moment it has room again."""
        self._finishing = False
        self._sendable = True
        self._listening = True
        self._quiet = False
        self._loop.add_reader(self._stream, self._readable)

    def send(self, message: Message) -> None:
        """Sends the message at the end of this turn of the loop."""
        self._frames.append((encode(message), ()))
        self._plan_flush()

    def send_jobs(self, jobs: Iterable[RunJob]) -> None:
        """Sends the jobs, then their tokens, at the end of this turn of the loop.

        What is sent in one turn is one frame: with more than a few jobs ahead that halves the cost of each.
        """
        self._jobs.extend(jobs)
        self._plan_flush()

    def send_watch(self, watch: Watch) -> None:
        """Sends the watch, then its token, at the end of this turn of the loop. No job may be on its way."""
        self._frames.append((encode(watch), (watch.sequence,)))
        self._plan_flush()

    def _plan_flush(self) -> None:
        if not self._flush_planned:
            self._flush_planned = True
            self._loop.call_soon(self._flush)

    def flush(self) -> None:
        """Sends now what was to be sent at the end of this turn."""
        if self._flush_planned:
            self._flush()

    def finish(self) -> None:
        """Closes the token pipe once everything is sent: the process ends after the jobs that it has tokens for."""
        self._finishing = True
        self._flush()

    def unread(self) -> int:
        """How many of the last jobs sent the process has no token of: it may have taken some of them since."""
        if self._token_read is None:
            return 0
        waiting = fcntl.ioctl(self._token_read, termios.FIONREAD, b"\0\0\0\0")
        in_pipe: int = struct.unpack("i", waiting)[0]
        return in_pipe // TOKEN.size + len(self._tokens) + len(self._unsent())

    def take_back(self) -> list[int]:
        """The sequences of all jobs that the process has not begun, in order. It can't begin them any more."""
        taken = self._read_tokens()
        taken.extend(self._tokens)
        self._tokens.clear()
        taken.extend(self._unsent())
        # A frame that is partly out must be completed, or what follows would be misread. It gets no tokens.
        rest = [(self._frames[0][0], ())] if self._head_is_cut else []
        self._frames = deque(rest)
        self._jobs.clear()
        return taken

    @property
    def is_quiet(self) -> bool:
        """Whether messages wait until somebody looks."""
        return self._quiet

    def be_quiet(self) -> None:
        """From now on nothing is read until `look`: to be woken for each of many small messages costs much."""
        if self._listening and not self._quiet:
            self._quiet = True
            self._loop.remove_reader(self._stream)

    def listen(self) -> None:
        """Ends the quiet."""
        if self._listening and self._quiet:
            self._quiet = False
            self._loop.add_reader(self._stream, self._readable)

    def look(self) -> None:
        """Reads what has come."""
        if self._listening:
            self._readable()

    def drain(self) -> None:
        """Reads what an ended process left in the stream."""
        while self._listening and self._receive_once():
            pass

    def close(self) -> None:
        """Gives up both channels. Take back what was not begun before."""
        self._stop_listening()
        self._stop_sending()
        self._stream.close()
        self._close_token_write()
        if self._token_read is not None:
            os.close(self._token_read)
            self._token_read = None

    def _flush(self) -> None:
        self._flush_planned = False
        if not self._sendable:
            return
        if self._jobs:
            sequences = [job.sequence for job in self._jobs]
            self._frames.append((encode(self._jobs[0] if len(sequences) == 1 else RunJobs(self._jobs)), sequences))
            self._jobs = []
        try:
            self._flush_frames()
            self._flush_tokens()
        except BlockingIOError:
            self._wait_for_room()
            return
        except OSError:  # the process is gone or has closed its end; that is seen by reading and by its exit
            self._stop_sending()
            return
        self._stop_waiting()
        if self._finishing:
            self._close_token_write()

    def _flush_frames(self) -> None:
        frames = self._frames
        while frames:
            try:
                if len(frames) == 1:
                    sent = self._stream.send(frames[0][0])
                else:
                    sent = self._stream.sendmsg([frames[i][0] for i in range(min(len(frames), _FRAMES_AT_ONCE))])
            except BlockingIOError:
                self._flush_tokens()
                raise
            self._account(sent)

    def _account(self, sent: int) -> None:
        """Moves the frames that went out completely on to their tokens."""
        frames = self._frames
        while sent:
            frame, sequences = frames[0]
            if sent < len(frame):
                frames[0] = (memoryview(frame)[sent:], sequences)
                self._head_is_cut = True
                return
            sent -= len(frame)
            frames.popleft()
            self._head_is_cut = False
            self._tokens.extend(sequences)

    def _flush_tokens(self) -> None:
        tokens = self._tokens
        while tokens and self._token_write is not None:
            count = min(len(tokens), _TOKENS_AT_ONCE)
            os.write(self._token_write, b"".join([TOKEN.pack(tokens[i]) for i in range(count)]))
            for _ in range(count):
                tokens.popleft()

    def _unsent(self) -> list[int]:
        """Sequences of jobs whose frame is not out."""
        sequences = [sequence for _, sequences in self._frames for sequence in sequences]
        return sequences + [job.sequence for job in self._jobs]

    def _wait_for_room(self) -> None:
        """Waits for the channel that is full: the stream while there are frames, else the pipe."""
        wanted = self._stream if self._frames else self._token_write
        if wanted is self._watched or wanted is None:
            return
        self._stop_waiting()
        self._watched = wanted
        self._loop.add_writer(wanted, self._flush)

    def _stop_waiting(self) -> None:
        if self._watched is not None:
            self._loop.remove_writer(self._watched)
            self._watched = None

    def _stop_sending(self) -> None:
        self._sendable = False
        self._stop_waiting()

    def _close_token_write(self) -> None:
        if self._token_write is not None:
            os.close(self._token_write)
            self._token_write = None

    def _readable(self) -> None:
        for _ in range(_RECEIVES_AT_ONCE):
            if self._receive_once() < RECEIVE_BYTES or not self._listening:
                return

    def _receive_once(self) -> int:
        """The bytes received, 0 if there are none now or none will come."""
        try:
            data = self._stream.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return 0
        except ConnectionError:  # it ended without having read all
            self._break("")
            return 0
        except OSError as error:
            self._break(str(error))
            return 0
        if not data:
            self._break("")
            return 0
        try:
            messages = self._reader.feed(data)
        except ValueError as error:  # DecodeError is one too
            self._break(f"it sent something that is no message: {error}")
            return 0
        if messages:
            self._receive(messages)
        return len(data)

    def _break(self, error: str) -> None:
        self._stop_listening()
        self._broken(error)

    def _stop_listening(self) -> None:
        if self._listening:
            self._listening = False
            if not self._quiet:
                self._loop.remove_reader(self._stream)

    def _read_tokens(self) -> list[int]:
        taken: list[int] = []
        while self._token_read is not None:
            try:
                data = os.read(self._token_read, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                break
            taken.extend(sequence for (sequence,) in TOKEN.iter_unpack(data))
        return taken
