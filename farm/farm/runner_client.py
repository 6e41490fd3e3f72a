"""`farm.runner(name)`: calls from jobs to the runners of their host."""

import asyncio
import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from farm.app import nearest
from farm.context import current_process
from farm.errors import RunnerBusy, RunnerDied, RunnerError, RunnerFailed, RunnerTimeout
from farm.runner_frames import Incoming, Kind, Parts, TooLarge, pickled, pieces, unpickled

DEFAULT_TIMEOUT_SECONDS = 60.0


def runner(name: str) -> "RunnerClient":
    """The runner that the app declared by `@app.runner(name)`, on this host.

    Works wherever the app's code runs on a host: jobs, hooks, other runners. Raises RunnerError elsewhere, and for a
    name that was not declared.
    """
    process = current_process()
    if process is None:
        raise RunnerError(
            f"farm.runner({name!r}): there are runners only on a host, and this is not one of its processes. "
            "Call it in a job."
        )
    path = process.runners.get(name)
    if path is None:
        there_are = f"There are: {', '.join(sorted(process.runners))}." if process.runners else "It declares none."
        raise RunnerError(
            f"farm.runner({name!r}): the app of host {process.host} declares no runner of this name."
            f"{nearest(name, process.runners)} {there_are}"
        )
    return RunnerClient(name, path)


class RunnerClient:
    """Calls one runner. May be kept, and used by any thread, any event loop, and after a fork."""

    def __init__(self, name: str, path: str) -> None:
        """`path`: the socket that the runner's copies answer on."""
        self.name = name
        self._path = path

    def __repr__(self) -> str:
        return f"<runner {self.name}>"

    def call(self, data: Any, timeout: float | None = DEFAULT_TIMEOUT_SECONDS) -> Any:
        """What the runner's `run(data)` returns; what that raises, with the runner's traceback as its cause.

        `data` and the result are anything that can be pickled, up to 1 GiB each; buffers travel without copies.
        `timeout` in seconds, waiting included; None waits for ever. Blocks: in a coroutine use `acall`.
        Raises RunnerTimeout, RunnerBusy, RunnerDied, and RunnerFailed when there is no result for another reason.
        """
        deadline = None if timeout is None else time.monotonic() + self._checked(timeout)
        parts = self._pickled(data)
        incoming = Incoming()
        with self._errors(timeout), self._connect() as connection:
            with self._early_answer():
                for piece in pieces(Kind.CALL, parts):
                    connection.settimeout(_left(deadline))
                    connection.sendall(piece)
            while not incoming.complete:
                connection.settimeout(_left(deadline))
                self._advance(incoming, connection.recv_into(incoming.target))
        return self._answer(incoming)

    async def acall(self, data: Any, timeout: float | None = DEFAULT_TIMEOUT_SECONDS) -> Any:
        """As `call`, without blocking the event loop."""
        limit = None if timeout is None else self._checked(timeout)
        parts = self._pickled(data)
        incoming = Incoming()
        loop = asyncio.get_running_loop()
        with self._errors(timeout), self._connect() as connection:
            async with asyncio.timeout(limit):
                with self._early_answer():
                    for piece in pieces(Kind.CALL, parts):
                        await loop.sock_sendall(connection, piece)
                while not incoming.complete:
                    self._advance(incoming, await loop.sock_recv_into(connection, incoming.target))
        return self._answer(incoming)

    def _checked(self, timeout: float) -> float:
        if not timeout > 0:
            raise RunnerError(
                f"runner {self.name!r}: timeout={timeout!r} must be a number of seconds above 0, or None."
            )
        return timeout

    def _pickled(self, data: Any) -> Parts:
        try:
            return pickled(data)
        except TooLarge as error:
            raise RunnerFailed(
                f"runner {self.name!r}: the data has {error}. Pass the name of a file instead."
            ) from None
        except Exception as error:
            raise RunnerFailed(
                f"runner {self.name!r}: data of type {type(data).__name__} can't be pickled: "
                f"{type(error).__name__}: {error}"
            ) from error

    def _connect(self) -> socket.socket:
        """A connection that a copy takes when it has room. It is there at once, or not at all."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            connection.connect(self._path)
        except BlockingIOError:
            connection.close()
            raise RunnerBusy(
                f"runner {self.name!r}: as many calls wait as its max_waiting allows. "
                "Call again later, or declare more copies, a batch, or a greater max_waiting."
            ) from None
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _errors(self, timeout: float | None) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise RunnerTimeout(
                f"runner {self.name!r} did not answer within {timeout} s. It may be starting anew, or have more calls "
                "than it can do: see the host's log, give more time, or declare more copies."
            ) from None
        except (FileNotFoundError, ConnectionRefusedError):
            raise RunnerDied(f"runner {self.name!r} is gone: its host has ended.") from None
        except (ConnectionError, EOFError):
            raise RunnerDied(
                f"runner {self.name!r} died during the call, or was ended with its host. The host's log and "
                "`farm events` tell why; a new copy is started. Call again if doing it twice does no harm."
            ) from None

    @contextmanager
    def _early_answer(self) -> Iterator[None]:
        """A copy that refuses a call hangs up before it has read all of it; why, it has said before."""
        try:
            yield
        except (BrokenPipeError, ConnectionResetError):
            return

    def _advance(self, incoming: Incoming, count: int) -> None:
        if not count:
            raise EOFError
        try:
            incoming.advance(count)
        except ValueError as error:
            raise RunnerFailed(f"runner {self.name!r}: its answer can't be read: {error}") from None

    def _answer(self, incoming: Incoming) -> Any:
        if incoming.kind is Kind.VALUE:
            return self._unpickled("result", incoming)
        if incoming.kind is Kind.RAISED:
            self._raise(*self._unpickled("error", incoming))
        raise RunnerFailed(f"runner {self.name!r}: {self._unpickled('answer', incoming)}")

    def _unpickled(self, what: str, incoming: Incoming) -> Any:
        try:
            return unpickled(incoming.parts)
        except Exception as error:
            raise RunnerFailed(
                f"runner {self.name!r}: its {what} can't be unpickled here: {type(error).__name__}: {error}"
            ) from error

    def _raise(self, exception: bytes | None, summary: str, trace: str) -> None:
        told = RunnerFailed(f"runner {self.name!r} raised {summary}\n{trace}")
        try:
            error = None if exception is None else pickle.loads(exception)  # noqa: S301 - see `unpickled`
        except Exception:  # noqa: BLE001 - code of the user's; what is known of the error is told
            error = None
        if isinstance(error, Exception):
            raise error from told
        raise told


def _left(deadline: float | None) -> float | None:
    """Seconds until then. Raises TimeoutError when there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
