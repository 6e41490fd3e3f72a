"""A process of the host that runs user code and takes no jobs: its stream, its exit, its end."""

import asyncio
import signal
from collections import deque
from collections.abc import Mapping, Sequence

from farm_worker.part_output import PartOutput
from farm_worker.pool.group import ProcessGroup
from farm_worker.pool.protocol import FrameReader, Message, Output, encode
from farm_worker.pool.spawn import Spawned, spawn
from farm_worker.pool.starter import Started

RECEIVE_BYTES = 1 << 16
EXIT_SECONDS = 1.0
"""For a process that has closed its stream: then it exits, or is killed."""


class PartProcess:
    """The running process, told of one thing at a time."""

    def __init__(self, module: str, environment: Mapping[str, str] | None) -> None:
        """Spawns it, in the main thread. Raises OSError when there is no room for another process."""
        self._output = PartOutput(module.rpartition(".")[2].removesuffix("_child"))
        with self._output.given() as output:
            spawned = self._spawn(module, output, environment)
        self.pid = self._output.pid = spawned.process.pid
        self._stream = spawned.stream
        self._reader = FrameReader()
        self._messages: deque[Message] = deque()
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._exited.add_done_callback(lambda _: self._output.close())
        self._group = ProcessGroup(Started(self.pid, spawned.process.poll), self._exited.set_result)

    def _spawn(self, module: str, output: int, environment: Mapping[str, str] | None) -> Spawned:
        return spawn(module, output=output, environment=environment)

    async def ask(self, question: Message) -> Message:
        """What it says next. Raises as `send` and `receive` do."""
        await self.send(question)
        return await self.receive()

    async def send(self, message: Message) -> None:
        """Raises OSError with a text that follows "the process" when it ended."""
        try:
            await self._loop.sock_sendall(self._stream, encode(message))
        except ConnectionError:
            raise OSError(await self._exit()) from None

    async def receive(self) -> Message:
        """What it says next. Raises OSError as `send` does, and ValueError on nonsense."""
        while not self._messages:
            try:
                data = await self._loop.sock_recv(self._stream, RECEIVE_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                raise OSError(await self._exit())
            self._take(self._reader.feed(data))
        return self._messages.popleft()

    def _take(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Output):
                self._output.hear(message)
            else:
                self._messages.append(message)

    async def finish(self, timeout: float) -> None:
        """Lets it end by itself, as what it runs may have to write something at its exit; then kills it."""
        self._hang_up()
        await asyncio.wait([self._exited], timeout=timeout)
        await self.end()

    async def end(self) -> None:
        """Kills it with all that it started."""
        self._hang_up()
        if not self._exited.done():
            self._group.signal(signal.SIGKILL)
            await asyncio.wait([self._exited])

    def _hang_up(self) -> None:
        """Closes the stream, which asks it to end. May be called again."""
        self._stream.close()

    async def _exit(self) -> str:
        await asyncio.wait([self._exited], timeout=EXIT_SECONDS)
        if not self._exited.done():
            await self.end()
            return "closed its stream and was killed"
        code = self._exited.result()
        return f"ended: killed by signal {-code}" if code < 0 else f"ended: exit code {code}"
