"""One connection for what is asked all the time: several commands in one message, their replies in order, little else.

redis-py connects it (address, login, TLS, Sentinel) and is out of the way from then on: what its client does for each
command takes longer than the command. Whoever asks gets redis-py's errors.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import hiredis
import redis
import redis.asyncio

from farm.store.connection import LOOP_ANSWER_TIMEOUT_SECONDS
from farm.store.server_errors import error_of

Command = Sequence[str | bytes | int | float]

_Asked = tuple[int, list[Any], asyncio.Future[list[Any]], Callable[[list[Any]], None] | None]
"""How many replies are awaited, those that came, who waits for them, and who hears of them first."""


class Line:
    """Connects when it is used, and anew after it was lost: nothing is sent twice by itself. Ends with its client."""

    def __init__(self, client: redis.asyncio.Redis, *, gathers: bool = False) -> None:
        """`client`: whose address and name it has. `gathers`: what several ask at one moment goes in one message."""
        self._client = client
        self._gathers = gathers
        self._wire: _Wire | None = None
        self._connecting = asyncio.Lock()

    async def ask(
        self,
        *commands: Command,
        seconds: float = LOOP_ANSWER_TIMEOUT_SECONDS,
        heard: Callable[[list[Any]], None] | None = None,
    ) -> list[Any]:
        """The replies, an error of the server among them as an object. Raises redis-py's errors for a lost connection.

        `seconds`: after so long without all replies the connection counts as lost. `heard` is told the replies when
        they come, one turn of the loop before who waits here.
        """
        wire = self._wire
        if wire is None or wire.is_lost:
            wire = await self._connect()
        return await wire.ask(commands, seconds, heard)

    async def ask_all(self, *commands: Command, seconds: float = LOOP_ANSWER_TIMEOUT_SECONDS) -> list[Any]:
        """The replies. Raises the first error of the server among them."""
        replies = await self.ask(*commands, seconds=seconds)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def ask_one(self, *command: str | bytes | float, seconds: float = LOOP_ANSWER_TIMEOUT_SECONDS) -> Any:
        """The reply. Raises the server's error."""
        (reply,) = await self.ask_all(command, seconds=seconds)
        return reply

    async def wait_for(self, *command: str | float, seconds: float) -> Any:
        """The reply of a command that blocks for `seconds` at most, its last argument. Raises as `ask_one`."""
        return await self.ask_one(*command, seconds, seconds=seconds + LOOP_ANSWER_TIMEOUT_SECONDS)

    def close(self) -> None:
        """Hangs up."""
        if self._wire is not None:
            self._wire.close()

    async def _connect(self) -> "_Wire":
        pool = cast("Any", self._client.connection_pool)
        async with self._connecting:
            if self._wire is not None and self._wire.is_lost:
                await self._wire.connection.disconnect(nowait=True)
                await pool.release(self._wire.connection)
                self._wire = None
            if self._wire is None:
                self._wire = _Wire(await _connection_of(pool), self._gathers)
            return self._wire


class _Wire(asyncio.Protocol):
    """Takes a connection over that is there and idle."""

    def __init__(self, connection: Any, gathers: bool) -> None:
        self.is_lost = False
        self._gathers = gathers
        self._unsent: list[bytes] = []
        self.connection = connection
        self._reader = hiredis.Reader(replyError=error_of)
        self._asked: deque[_Asked] = deque()
        self._loop = asyncio.get_running_loop()
        self._transport = connection._writer.transport  # noqa: SLF001 - there is no other way to it
        self._before = self._transport.get_protocol()
        self._transport.set_protocol(self)

    async def ask(
        self, commands: Sequence[Command], seconds: float, heard: Callable[[list[Any]], None] | None
    ) -> list[Any]:
        answered: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.append((len(commands), [], answered, heard))
        packed = [hiredis.pack_command(cast("Any", tuple(command))) for command in commands]
        self._write(packed)
        limit = self._loop.call_later(seconds, self._lose, redis.TimeoutError(f"no answer for {seconds:g} s"))
        try:
            return await answered
        except asyncio.CancelledError:
            self._lose(redis.ConnectionError("given up"))  # its reply must not be taken for that of the next
            raise
        finally:
            limit.cancel()

    def close(self) -> None:
        self._lose(redis.ConnectionError("hung up"))

    def _write(self, packed: list[bytes]) -> None:
        if not self._gathers:
            self._transport.write(b"".join(packed))
            return
        if not self._unsent:
            self._loop.call_soon(self._send_gathered, 0)
        self._unsent += packed

    def _send_gathered(self, seen: int) -> None:
        """Once a round of the loop has added nothing: who woke up with the first has asked by then."""
        if len(self._unsent) > seen:
            self._loop.call_soon(self._send_gathered, len(self._unsent))
            return
        packed, self._unsent = self._unsent, []
        self._transport.write(b"".join(packed))

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self._lose(redis.InvalidResponse(str(error)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._before.connection_lost(exc)  # redis-py waits for it when it closes the connection
        self._lose(redis.ConnectionError(str(exc or "the server closed the connection")))

    def _take(self, reply: Any) -> None:
        if not self._asked:
            self._lose(redis.InvalidResponse("a reply that nobody asked for"))
            return
        wanted, replies, answered, heard = self._asked[0]
        replies.append(reply)
        if len(replies) == wanted:
            self._asked.popleft()
            if not answered.done():
                answered.set_result(replies)
                if heard is not None:
                    heard(replies)

    def _lose(self, error: Exception) -> None:
        self.is_lost = True
        self._unsent = []
        self._transport.abort()
        while self._asked:
            answered = self._asked.popleft()[2]
            if not answered.done():
                answered.set_exception(error)


async def _connection_of(pool: Any) -> Any:
    try:
        return await pool.get_connection()
    except TypeError:  # redis-py before 5.3 wants the name of a command, and does nothing with it
        return await pool.get_connection("EVALSHA")
