"""What joins a host to one process: its lines. The host holds one end of each, the process the other.

| line    | what it carries                                                                    |
|---------|------------------------------------------------------------------------------------|
| stream  | frames with jobs and outcomes, see `protocol`                                      |
| tokens  | a pipe with 8 bytes per job that may be begun, see `protocol`                      |
| control | frames that a thread of the process answers while a job runs: ping, cancel         |
| output  | a pipe: what the process and its children write to their stdout and stderr         |
| stacks  | a file in memory: the stacks of its threads, written by a fatal signal or on demand |
"""

import fcntl
import os
import socket
import sys
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass, fields
from typing import Self

from farm.descriptor import copy_out_of_reach, end_of_descriptors

OUTPUT_PIPE_BYTES = 1 << 20
"""A process that writes in bursts should not wait for the host."""
_SET_PIPE_SIZE = 1031
MAX_STACK_BYTES = 64_000


@dataclass(frozen=True, slots=True)
class ChildLines:
    """The process's ends, as descriptors."""

    stream: int
    tokens: int
    control: int
    stacks: int
    output: int

    @classmethod
    def receive(cls, stream: socket.socket) -> "Self | None":
        """Those that a host sends with its next request; waits for it. None when there will be no more."""
        try:
            data, descriptors, _, _ = socket.recv_fds(stream, 1, len(fields(cls)))
        except ConnectionError:
            return None
        return cls(*descriptors) if data else None

    def send(self, stream: socket.socket) -> None:
        """A request with these lines. Raises OSError when the stream takes no more now."""
        socket.send_fds(stream, [b"\0"], astuple(self))

    def take_over(self) -> "ChildLines":
        """The same lines under high numbers, which what a job starts does not inherit. Call it in the process, once.

        Jobs that turn into daemons close the low ones. `output` stays what it is: the process's stdout.
        """
        low = (self.stream, self.tokens, self.control, self.stacks)
        first = end_of_descriptors() - 2 * len(low)
        stream, tokens, control, stacks = (copy_out_of_reach(number, first) for number in low)
        for descriptor in low:
            os.close(descriptor)
        return ChildLines(stream, tokens, control, stacks, self.output)

    def refuse(self) -> None:
        """Closes what was received, as nothing comes of the request."""
        for descriptor in astuple(self):
            os.close(descriptor)

    def close(self) -> None:
        """For the host: gives them up once the process has them. The pipe end for tokens and the stacks stay open."""
        for descriptor in (self.stream, self.control, self.output):
            with suppress(OSError):
                os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Lines:
    """The host's ends. Nothing here blocks."""

    stream: socket.socket
    control: socket.socket
    token_write: int
    token_read: int
    """The same open pipe end that the process reads: what is read here, the process does not get."""
    output: int
    stacks: int

    @classmethod
    def open(cls) -> "tuple[Self, ChildLines]":
        """New lines. Raises OSError when the system has no room for them."""
        with ExitStack() as on_error:
            stream, child_stream = _socket_pair(on_error)
            control, child_control = _socket_pair(on_error)
            token_read, token_write = _pipe(on_error)
            output, child_output = _pipe(on_error)
            os.set_blocking(child_output, True)
            widen(child_output)
            stacks = _memory_file()
            on_error.callback(os.close, stacks)
            on_error.pop_all()
        lines = cls(stream, control, token_write, token_read, output, stacks)
        child = ChildLines(child_stream.detach(), token_read, child_control.detach(), stacks, child_output)
        return lines, child

    def read_stacks(self) -> str:
        """What was written to `stacks` so far, its end if it is long."""
        size = os.fstat(self.stacks).st_size
        return os.pread(self.stacks, MAX_STACK_BYTES, max(0, size - MAX_STACK_BYTES)).decode("utf-8", "replace")

    def close(self) -> None:
        """Gives up what `Channel` does not close itself."""
        self.control.close()
        for descriptor in (self.output, self.stacks):
            with suppress(OSError):
                os.close(descriptor)


def _socket_pair(on_error: ExitStack) -> tuple[socket.socket, socket.socket]:
    host, child = socket.socketpair()
    on_error.callback(host.close)
    on_error.callback(child.close)
    host.setblocking(False)
    return host, child


def _pipe(on_error: ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    for descriptor in (read, write):
        on_error.callback(os.close, descriptor)
        os.set_blocking(descriptor, False)
    return read, write


def widen(pipe: int) -> None:
    """Lets a pipe for output hold more, where that can be done."""
    with suppress(OSError):  # not Linux, or this user has as much in pipes as it may
        fcntl.fcntl(pipe, _SET_PIPE_SIZE, OUTPUT_PIPE_BYTES)


def _memory_file() -> int:
    if sys.platform == "linux":
        return os.memfd_create("stacks")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
