"""Stands between clients and a real Redis, and does to their connections what networks do.

    with FaultProxy(server.url) as proxy:
        client = connect(proxy.url)
        proxy.cut()                          # all connections, now
        proxy.cut_request_at(17)             # the server gets 17 bytes more, then the connection is gone
        proxy.cut_reply_at(0)                # the command is done, nobody hears of it
        proxy.reply_delay = 3.0              # seconds, of each piece of a reply
        proxy.drip = 0.001                   # seconds between the single bytes of replies
        proxy.hold()                         # a partition: nothing comes through, nothing is lost
        proxy.swallow()                      # half-open: what is sent is gone, and the connection stays
        proxy.refuse()                       # nothing listens any more
        proxy.forward()                      # all is well again; connections that lost bytes stay silent

Everything may be called from any thread. `url` is an address on the loopback, whatever the server listens on.
"""

import asyncio
import socket
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

CHUNK_BYTES = 65536
CALL_SECONDS = 10.0


@dataclass(slots=True)
class _Cut:
    """A cut that is planned: `left` more bytes of requests (or replies) pass, once `containing` was requested."""

    of_requests: bool
    left: int
    containing: bytes
    armed: bool


class _Connection:
    """One client, and the connection to the server that was made for it."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.lost_bytes = False

    def cut(self) -> None:
        for writer in (self.client, self.server):
            writer.transport.abort()


class FaultProxy:
    """A proxy for one server, in a thread of its own, on a free port that it keeps while it refuses."""

    def __init__(self, target: str) -> None:
        """`target`: the URL of the server, `redis://` or `unix://`."""
        self.target = target
        self.reply_delay = 0.0
        self.drip = 0.0
        self.accepted = 0
        """Connections so far."""
        self.cuts = 0
        """Planned cuts that happened."""
        self.requests = bytearray()
        """All that clients sent, if `record` is set."""
        self.replied = 0
        """Bytes of replies so far."""
        self.record = False
        self._holding = self._swallowing = False
        self._cut: _Cut | None = None
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        self._port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_SECONDS)
        self._loop.close()

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        """What clients are given: login and database as in `target`."""
        parts = urlsplit(self.target)
        login = parts.netloc.rpartition("@")[0] if parts.scheme != "unix" else ""
        database = parts.path.strip("/") if parts.scheme != "unix" else parse_qs(parts.query).get("db", ["0"])[0]
        return f"redis://{login + '@' if login else ''}127.0.0.1:{self._port}/{database or 0}"

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def cut(self) -> int:
        """Ends all connections at once, with a reset. Returns how many there were."""
        return self._do(self._cut_all())

    def cut_request_at(self, count: int, *, containing: bytes = b"") -> None:
        """Once: `count` more bytes of requests pass, then that connection is cut.

        `containing`: counted on the connection, and from the piece of a request on, in which these bytes come first.
        """
        self._cut = _Cut(True, count, containing, armed=not containing)

    def cut_reply_at(self, count: int, *, containing: bytes = b"") -> None:
        """Once: `count` more bytes of replies pass, then that connection is cut. 0: the reply is dropped.

        `containing`: counted from the reply on to the first request with these bytes.
        """
        self._cut = _Cut(False, count, containing, armed=not containing)

    def hold(self) -> None:
        """Nothing passes in either direction until `forward`; then what was held comes through, as TCP repeats it."""
        self._holding = True

    def swallow(self) -> None:
        """What is sent in either direction is gone, on the connections there are and on new ones."""
        self._swallowing = True

    def refuse(self) -> None:
        """Cuts all connections and listens no more."""
        self._do(self._stop_listening())

    def forward(self) -> None:
        """Ends every fault, also planned ones."""
        self._holding = self._swallowing = False
        self.reply_delay = self.drip = 0.0
        self._cut = None
        self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(CALL_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=1000)
            self._port = self._server.sockets[0].getsockname()[1]

    async def _stop_listening(self) -> None:
        if self._server is not None:
            for listening in self._server.sockets:
                self._loop.remove_reader(listening.fileno())
            await asyncio.sleep(0)  # a connection that was just accepted can't be made once its server is closed
            self._server.close()
            self._server = None
        await self._cut_all()

    async def _cut_all(self) -> int:
        count = len(self._connections)
        for connection in self._connections:
            connection.cut()
        return count

    async def _end(self) -> None:
        await self._stop_listening()
        canceled = set[asyncio.Task[None]]()
        while len(asyncio.all_tasks()) > 1:  # a connection that has just come is served first: it would stay open
            for task in self._tasks - canceled:
                task.cancel()
            canceled |= self._tasks
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # connections that were aborted are closed one turn later

    async def _serve(self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        connection = None
        try:
            server_reader, server_writer = await self._connect()
            connection = _Connection(client_writer, server_writer)
            self._connections.add(connection)
            pumps = [
                asyncio.ensure_future(self._pump(connection, client_reader, server_writer, of_requests=True)),
                asyncio.ensure_future(self._pump(connection, server_reader, client_writer, of_requests=False)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
        except (OSError, asyncio.CancelledError):  # a task that ends canceled is told of as an error by the stream
            pass
        finally:
            if connection is not None:
                connection.cut()
                self._connections.discard(connection)
            client_writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        parts = urlsplit(self.target)
        if parts.scheme == "unix":
            return await asyncio.open_unix_connection(unquote(parts.path))
        return await asyncio.open_connection(parts.hostname, parts.port or 6379)

    async def _pump(
        self, connection: _Connection, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, of_requests: bool
    ) -> None:
        """Passes on one direction until it ends, or is cut."""
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                if of_requests and self.record:
                    self.requests += data
                if not of_requests:
                    self.replied += len(data)
                if not of_requests and self.reply_delay:
                    await asyncio.sleep(self.reply_delay)
                while self._holding:
                    await asyncio.sleep(0.01)
                connection.lost_bytes = connection.lost_bytes or self._swallowing
                if connection.lost_bytes:
                    continue
                passed = self._part_before_cut(data, of_requests)
                await self._send(sink, passed, drips=not of_requests)
                if len(passed) < len(data) or self._cut_is_due(of_requests):
                    self._cut = None
                    self.cuts += 1
                    connection.lost_bytes = True
                    # What the server was sent is to be read before the end comes, else a reset may overtake it.
                    await asyncio.sleep(0.01 if of_requests else 0)
                    return

    def _part_before_cut(self, data: bytes, of_requests: bool) -> bytes:
        cut = self._cut
        if cut is None:
            return data
        if not cut.armed:
            if not (of_requests and cut.containing in data):
                return data
            cut.armed = True
        if cut.of_requests != of_requests:
            return data
        passed = data[: cut.left]
        cut.left -= len(passed)
        return passed

    def _cut_is_due(self, of_requests: bool) -> bool:
        cut = self._cut
        return cut is not None and cut.armed and cut.of_requests == of_requests and cut.left <= 0

    async def _send(self, sink: asyncio.StreamWriter, data: bytes, *, drips: bool) -> None:
        if not (drips and self.drip):
            sink.write(data)
            await sink.drain()
            return
        connection = sink.get_extra_info("socket")
        if connection is not None and connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for index in range(len(data)):
            sink.write(data[index : index + 1])
            await sink.drain()
            await asyncio.sleep(self.drip)
