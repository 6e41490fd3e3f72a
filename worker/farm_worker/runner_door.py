"""The door of one copy of a runner: takes calls in and hands answers out, on a thread of its own.

All copies of a runner listen on one socket. A copy accepts a call only while it has room, so a call goes to a copy that
is free, and waits in the kernel while none is.
"""

import asyncio
import queue
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from farm.runner_frames import Incoming, Kind, Parts, TooLarge, pickled, pieces

Answer = tuple[Kind, Parts]

STALL_SECONDS = 30.0
"""A caller that neither sends nor takes a byte for so long is given up."""
LAST_ANSWERS_SECONDS = 5.0
"""At the end: how long the last answers may take to go out."""


class Call:
    """A call that has arrived. Its caller waits at the other end of the connection."""

    __slots__ = ("connection", "parts")

    def __init__(self, connection: socket.socket, parts: Sequence[bytearray]) -> None:
        self.connection = connection
        self.parts = parts

    def is_given_up(self) -> bool:
        """True when the caller has hung up."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True


class Door:
    """`next_calls` and `answer` are for the thread that does the work, `shut` for any."""

    def __init__(self, listener: socket.socket, batch: int) -> None:
        """Nothing is taken in before `open`. `batch`: how many calls are handed over at a time, at most."""
        self._listener = listener
        self._batch = batch
        self._reading: set[asyncio.Task[Call | None]] = set()
        self._answering: set[asyncio.Task[None]] = set()
        self._calls: queue.SimpleQueue[list[Call]] = queue.SimpleQueue()
        self._loop = asyncio.new_event_loop()
        self._something = asyncio.Event()
        """Set when something happened that `_take` has to look at."""
        self._done = asyncio.Event()
        """Set when the calls that were handed over are done."""
        self._shut = False
        self._serving: Future[None] = Future()
        self._thread = threading.Thread(target=self._loop.run_forever, name="farm-runner-door", daemon=True)

    def open(self) -> None:
        """Begins to serve."""
        self._thread.start()
        self._serving = asyncio.run_coroutine_threadsafe(self._serve(), self._loop)

    def next_calls(self) -> list[Call]:
        """Waits for calls: those that are there, up to the batch. Empty once the door is shut."""
        return self._calls.get()

    def answer(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        """Sends the answers off: all of what was handed over is done. They are dropped if nobody waits for them."""
        self._loop.call_soon_threadsafe(self._finish, calls, answers)

    def shut(self) -> None:
        """Takes no more calls in; those that were are still handed over."""
        self._shut = True
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._something.set)

    def close(self) -> None:
        """Ends the thread when the last answers are out."""
        asyncio.run_coroutine_threadsafe(self._last_answers(), self._loop).result()
        self._serving.result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        try:
            while calls := await self._take():
                self._calls.put(calls)
                del calls  # what they carry may be large
                await self._done.wait()
                self._done.clear()
        finally:
            self._calls.put([])

    def _finish(self, calls: Sequence[Call], answers: Sequence[Answer]) -> None:
        for call, (kind, parts) in zip(calls, answers, strict=True):
            self._begin_answer(call.connection, kind, parts)
        self._done.set()

    async def _take(self) -> list[Call]:
        while self._reading or not self._shut:
            if not self._shut:
                self._accept()
            await asyncio.sleep(0)  # what has arrived as a whole is read in one step
            calls = self._arrived()
            if calls:
                return calls
            await self._news()
        return []

    def _accept(self) -> None:
        """Takes in what waits, as far as there is room."""
        while len(self._reading) < self._batch:
            try:
                connection, _ = self._listener.accept()
            except OSError:  # BlockingIOError: none waits, or another copy was faster. Others: the caller hung up
                return
            connection.setblocking(False)
            self._reading.add(self._loop.create_task(self._read(connection)))

    def _arrived(self) -> list[Call]:
        """What was read to its end and still has a caller."""
        done = [task for task in self._reading if task.done()]
        self._reading.difference_update(done)
        calls = []
        for call in (task.result() for task in done):
            if call is not None and call.is_given_up():
                call.connection.close()
            elif call is not None:
                calls.append(call)
        return calls

    async def _news(self) -> None:
        """Until a call has arrived or is gone, one can be accepted, or the door is shut."""
        self._something.clear()
        listens = len(self._reading) < self._batch and not self._shut
        if listens:
            self._loop.add_reader(self._listener, self._something.set)
        try:
            await self._something.wait()
        finally:
            if listens:
                self._loop.remove_reader(self._listener)

    async def _read(self, connection: socket.socket) -> Call | None:
        incoming = Incoming()
        try:
            while not incoming.complete:
                count = await self._receive(connection, incoming.target)
                if not count:
                    connection.close()
                    return None
                incoming.advance(count)
        except TooLarge as error:
            self._begin_answer(connection, Kind.REFUSED, pickled(f"the data has {error}."))
        except (OSError, ValueError):  # TimeoutError is an OSError
            connection.close()
        else:
            return Call(connection, incoming.parts)
        finally:
            self._something.set()
        return None

    async def _receive(self, connection: socket.socket, target: memoryview) -> int:
        """How many bytes arrived; 0 at the end. Small calls are there already: nothing has to wait for those."""
        try:
            return connection.recv_into(target)
        except BlockingIOError:
            async with asyncio.timeout(STALL_SECONDS):
                return await self._loop.sock_recv_into(connection, target)

    def _begin_answer(self, connection: socket.socket, kind: Kind, parts: Parts) -> None:
        task = self._loop.create_task(self._send(connection, kind, parts))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _send(self, connection: socket.socket, kind: Kind, parts: Parts) -> None:
        try:
            for piece in pieces(kind, parts):
                sent = self._send_now(connection, piece)
                if sent < len(piece):
                    async with asyncio.timeout(STALL_SECONDS):
                        await self._loop.sock_sendall(connection, piece[sent:])
        except OSError:
            pass  # the caller hung up, or takes nothing
        finally:
            connection.close()

    def _send_now(self, connection: socket.socket, piece: bytes | memoryview) -> int:
        """How much of it the system takes at once."""
        try:
            return connection.send(piece)
        except BlockingIOError:
            return 0

    async def _last_answers(self) -> None:
        await asyncio.sleep(0)
        if self._answering:
            await asyncio.wait(self._answering, timeout=LAST_ANSWERS_SECONDS)
