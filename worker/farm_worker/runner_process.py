"""The host's handle on one process of a runner: from its spawn to the facts of its end."""

import asyncio
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from farm_worker.part_output import PartOutput
from farm_worker.patience import within
from farm_worker.pool.group import ProcessGroup
from farm_worker.pool.protocol import (
    FrameReader,
    Initialize,
    InitializeFailed,
    Message,
    Output,
    Ping,
    Pong,
    Ready,
    encode,
)
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason, signal_name
from farm_worker.pool.spawn import spawn
from farm_worker.pool.starter import Started

MODULE = "farm_worker.runner_child"
RECEIVE_BYTES = 1 << 16
EXIT_SECONDS = 1.0
"""Between the end of the stream and the exit."""


class State(StrEnum):
    """Where a process is in its life. Only forward."""

    STARTING = "starting"
    READY = "ready"
    CLOSING = "closing"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one process may take, in seconds."""

    initialize: float
    ping_interval: float
    ping: float


class RunnerProcess:
    """One process. Lives on the loop's thread; nothing here blocks."""

    def __init__(
        self, initialize: Initialize, listener: int, environment: Mapping[str, str], patience: Patience
    ) -> None:
        """Spawns it. `listener`: descriptor of the socket that it takes calls from. Raises OSError."""
        self.state = State.STARTING
        self.ready = asyncio.Event()
        self.memory: int | None = None
        """Bytes of it and all it started, as last sampled."""
        self.spawned_at = time.monotonic()
        self.ready_at: float | None = None
        self._initialize = initialize
        self._patience = patience
        self._error = ""
        self._reason: Reason | None = None
        self._killed = False
        self._loop = asyncio.get_running_loop()
        self._ponged = asyncio.Event()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._output = PartOutput(f"runner {initialize.runner}")
        with self._output.given() as output:
            spawned = spawn(MODULE, output=output, environment=environment, inherit=[listener])
        self.pid = self._output.pid = spawned.process.pid
        self._stream = spawned.stream
        self._group = ProcessGroup(Started(self.pid, spawned.process.poll), self._exited.set_result)

    async def run(self) -> ProcessEnd:
        """Initializes and watches it until it has ended; kills it when cancelled."""
        listening = asyncio.create_task(self._listen())
        watching = asyncio.create_task(self._watch())
        try:
            code = await asyncio.shield(self._exited)
            await asyncio.wait([listening], timeout=EXIT_SECONDS)  # nothing that it said is lost
        finally:
            if not self._exited.done():
                self.kill(Reason.CLOSED)
                await asyncio.wait([self._exited])
            listening.cancel()
            watching.cancel()
            await asyncio.gather(listening, watching, return_exceptions=True)
            self._stream.close()
            self._output.close()
        return self._end(code)

    def close(self, reason: Reason) -> None:
        """It ends after the call that it does. A starting one is killed."""
        if self.state is State.STARTING:
            self.kill(reason)
        elif self.state is State.READY:
            self.state = State.CLOSING
            self._reason = reason
            with suppress(OSError):
                self._stream.shutdown(1)  # SHUT_WR: it still may say something

    def kill(self, reason: Reason) -> None:
        """Ends it at once with all that it started."""
        if not self._killed and not self._exited.done():
            self._killed = True
            self._reason = reason
            self._group.signal(signal.SIGKILL)

    async def _listen(self) -> None:
        reader = FrameReader()
        try:
            await self._loop.sock_sendall(self._stream, encode(self._initialize))
            while data := await self._loop.sock_recv(self._stream, RECEIVE_BYTES):
                for message in reader.feed(data):
                    self._receive(message)
        except (msgspec.DecodeError, ValueError) as error:
            self._error = f"it sent what is no message: {error}"
            self.kill(Reason.CRASHED)
        except OSError:
            pass  # it is gone, which its exit tells
        await asyncio.wait([self._exited], timeout=EXIT_SECONDS)
        if not self._exited.done():
            self._error = self._error or "it closed its stream"
            self.kill(Reason.UNRESPONSIVE)

    def _receive(self, message: Message) -> None:
        if isinstance(message, Output):
            self._output.hear(message)
        elif isinstance(message, Ready):
            self.state = State.READY
            self.ready_at = time.monotonic()
            self.ready.set()
        elif isinstance(message, InitializeFailed):
            self._error = message.error
        elif isinstance(message, Pong):
            self._ponged.set()

    async def _watch(self) -> None:
        """Kills what takes too long to get ready, and later what does not answer."""
        if not await _happens(self.ready, self._patience.initialize):
            self.kill(Reason.INITIALIZE_TIMEOUT)
            return
        sequence = 0
        while self.state is State.READY:
            sequence += 1
            self._ponged.clear()
            with suppress(OSError):  # a full socket: it has not read its pings for long
                self._stream.send(encode(Ping(sequence)))
            answered = await _happens(self._ponged, self._patience.ping)
            if not answered and self.state is State.READY:
                self.kill(Reason.UNRESPONSIVE)
                return
            await asyncio.sleep(self._patience.ping_interval)

    def _end(self, code: int) -> ProcessEnd:
        return ProcessEnd(
            reason=self._end_reason(code),
            pid=self.pid,
            number=self._initialize.copy,
            phase=_PHASES[self.state],
            exit_code=code if code >= 0 else None,
            signal=signal_name(-code) if code < 0 else None,
            age=time.monotonic() - self.spawned_at,
            jobs_done=0,
            last_memory=self.memory,
            error=self._error,
            last_lines=self._output.last_lines,
            runner=self._initialize.runner or "",
        )

    def _end_reason(self, code: int) -> Reason:
        if self._killed or (self._reason is not None and code == 0):
            return self._reason or Reason.CLOSED
        if self._error and self.state is State.STARTING:
            return Reason.INITIALIZE_ERROR
        return Reason.CRASHED if code < 0 else Reason.EXITED


_PHASES = {State.STARTING: Phase.INITIALIZE, State.READY: Phase.JOB, State.CLOSING: Phase.CLOSING}
"""Whether a call was under way, only the process itself knew."""


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """True as soon as the event is set, False when so many seconds passed without it."""
    with suppress(TimeoutError):
        await within(event.wait(), seconds)
    return event.is_set()
