"""One running template, as its host sees it: what it was asked for, what it has in reserve, how it ends."""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress

from farm_worker.part_process import RECEIVE_BYTES, PartProcess
from farm_worker.pool.lines import ChildLines
from farm_worker.pool.protocol import Forked, Message, Reserve
from farm_worker.pool.starter import reap_child

FORK_SECONDS = 10.0
"""A template takes milliseconds for a fork. One that has not answered for so long is taken for hanging."""
SUSPECT_SECONDS = 1.0
"""And for so long after that was noticed: perhaps it was this host that stood still."""


class TemplateProcess(PartProcess):
    """The running process, from its first message on."""

    def __init__(self, module: str, environment: Mapping[str, str] | None) -> None:
        """Spawns it, in the main thread. Raises OSError when there is no room for another process."""
        super().__init__(module, environment)
        self.started_at = time.monotonic()
        self.serves_since = 0.0
        self.suspect_since: float | None = None
        self.killed = False
        self.reserve: int | None = None
        """Pid of the process that it forked in advance: a child of this one, and no process of the pool yet."""
        self._asked: deque[float] = deque()

    @property
    def exited(self) -> "asyncio.Future[int]":
        """The return code, once it has ended."""
        return self._exited

    def hand(self, lines: ChildLines) -> None:
        """Asks for a process with these lines. Raises OSError when it can't take more now."""
        lines.send(self._stream)
        self._asked.append(time.monotonic())

    async def answers(self) -> str:
        """Takes note of what it has done, until it is gone. How it ended."""
        try:
            while True:
                self._note(await self.receive())
        except OSError as error:
            return str(error)
        except ValueError as error:
            await self.end()
            return f"sent something that is no message: {error}"

    async def end(self) -> None:
        """Kills it with all that it started, and its reserve."""
        await super().end()
        reserve, self.reserve = self.reserve, None
        while reserve is not None and reap_child(reserve) is None:
            with suppress(ProcessLookupError):
                os.kill(reserve, signal.SIGKILL)
            await asyncio.sleep(0.001)

    def kill(self) -> None:
        """KILL to it and all that it started. It serves no more."""
        self.killed = True
        self._group.signal(signal.SIGKILL)

    def hangs(self, now: float) -> bool:
        """It was asked for a process long ago."""
        if not self._asked or now - self._asked[0] < FORK_SECONDS:
            return False
        self.suspect_since = self.suspect_since or now
        return now - self.suspect_since >= SUSPECT_SECONDS

    def _note(self, message: Message) -> None:
        if isinstance(message, Reserve):
            self.reserve = message.pid
        elif isinstance(message, Forked):
            self.reserve = self.suspect_since = None
            if self._asked:
                self._asked.popleft()

    def _hang_up(self) -> None:
        """Hears what it said last: a reserve that was taken is a process of the pool, and not to be ended here."""
        with suppress(OSError, ValueError):
            self._take(self._reader.feed(self._stream.recv(RECEIVE_BYTES)))
        while self._messages:
            self._note(self._messages.popleft())
        super()._hang_up()
