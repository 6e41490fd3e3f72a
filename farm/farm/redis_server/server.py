"""One private Redis: started, watched until it answers, tied to its starter, and stopped with its data complete."""

import fcntl
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from farm.errors import RedisServerError
from farm.redis_server.binary import Binary, find_binary
from farm.tether import tethered

START_TIMEOUT_SECONDS = 15.0
"""For the first answer of any kind. A server that says it is loading its data is given all the time it needs."""

STOP_TIMEOUT_SECONDS = 15.0
ANSWER_TIMEOUT_SECONDS = 1.0
CHECK_INTERVAL_SECONDS = 0.01
LOG_LIMIT_BYTES = 1_000_000
LOG_LINES_IN_ERRORS = 12

SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
"""Bytes that the system takes as the path of a unix socket."""


class RedisServer:
    """A private Redis whose data lives in `folder` and outlives it.

    `folder` is its own: created if needed, closed to other users (0700). It holds the data, `redis.conf`, `redis.log`,
    the lock and the unix socket. With `tcp` it listens on a free port of the loopback instead, with a generated
    password. `append_only=False` keeps nothing on disk: for tests.

    The server ends with the process that started it, even on SIGKILL. Start it from the main thread if you can; from
    another thread one small process more is needed.
    """

    def __init__(
        self, folder: Path, *, tcp: bool = False, append_only: bool = True, binary: Binary | None = None
    ) -> None:
        self.folder = folder
        self.url = ""
        """Address for clients, once started."""
        self.binary = binary
        self._tcp = tcp
        self._append_only = append_only
        self._socket = Path()
        self._port = 0
        self._password = ""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process that was started: the server, or the small one that watches over it. 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "redis.log"

    def start(self) -> None:
        """Starts it and returns once it answers. Raises RedisServerError, with the end of its log, if it does not."""
        if self.running:
            return
        binary = self.binary or find_binary()
        _make_private(self.folder)
        lock = self._lock()
        try:
            self._choose_address()
            configuration = self._write_configuration()
            log_start = self._cut_log()
            self._process = self._spawn(binary, configuration, lock)
        finally:
            os.close(lock)  # the server holds it now, for as long as it lives
        try:
            self._wait_until_it_answers(log_start)
        except BaseException:
            self._kill()
            raise

    def stop(self) -> None:
        """Ends it in order, data complete on disk; by force if it does not end in time. Nothing to do if it is gone."""
        if self._process is None:
            return
        if self.running:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                self._kill()
        self._process = None
        if not self._tcp:
            self._socket.unlink(missing_ok=True)
            if self._socket.parent != self.folder:
                with suppress(OSError):
                    self._socket.parent.rmdir()

    def _lock(self) -> int:
        """A file lock that the server inherits, so that it is held exactly as long as the data is in use."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise RedisServerError(
                f"Another private Redis uses {self.folder} already, perhaps of a running `farm up`. "
                "Use that one, stop it, or take another folder."
            ) from None
        return descriptor

    def _choose_address(self) -> None:
        """A server that is started again keeps its address: clients wait for it there."""
        if self._tcp and not self.url:
            self._port = _free_port()
            self._password = secrets.token_urlsafe(24)
            self.url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"
        elif not self._tcp:
            self._socket = _socket_path(self.folder)
            self.url = f"unix://{quote(str(self._socket))}?db=0"

    def _write_configuration(self) -> Path:
        settings: dict[str, str] = {
            "dir": _quoted(str(self.folder)),
            "daemonize": "no",
            "appendonly": "yes" if self._append_only else "no",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "stream-node-max-bytes": "300",
        }
        if self._tcp:
            settings |= {"bind": "127.0.0.1", "port": str(self._port), "requirepass": self._password}
        else:
            settings |= {"port": "0", "unixsocket": _quoted(str(self._socket)), "unixsocketperm": "700"}
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()), encoding="utf-8")
        return path

    def _cut_log(self) -> int:
        """Empties a long log. Returns where the lines of this start begin."""
        self.log.touch(mode=0o600)
        if self.log.stat().st_size > LOG_LIMIT_BYTES:
            os.truncate(self.log, 0)
        return self.log.stat().st_size

    def _spawn(self, binary: Binary, configuration: Path, lock: int) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                tethered([str(binary.path), str(configuration)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
            )

    def _wait_until_it_answers(self, log_start: int) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            answer = self._ask()
            if answer.startswith(b"+PONG"):
                return
            if not self.running:
                raise RedisServerError(f"The private Redis ended as it started.{self._last_lines(log_start)}")
            if not answer.startswith(b"-LOADING") and time.monotonic() > deadline:
                end = self._last_lines(log_start)
                raise RedisServerError(f"The private Redis did not answer within {START_TIMEOUT_SECONDS:.0f} s.{end}")
            time.sleep(CHECK_INTERVAL_SECONDS)

    def _ask(self) -> bytes:
        """The server's last line of answer to a ping; empty if it does not listen yet."""
        family, address = (
            (socket.AF_INET, ("127.0.0.1", self._port)) if self._tcp else (socket.AF_UNIX, str(self._socket))
        )
        with suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_TIMEOUT_SECONDS)
            connection.connect(address)
            if self._tcp:
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                connection.recv(200)
            connection.sendall(b"PING\r\n")
            return connection.recv(200)
        return b""

    def _last_lines(self, log_start: int) -> str:
        with self.log.open("rb") as log:
            log.seek(log_start)
            lines = log.read().decode(errors="replace").splitlines()[-LOG_LINES_IN_ERRORS:]
        return "".join(f"\n  {line}" for line in [f"The end of {self.log}:", *lines])

    def _kill(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _make_private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise RedisServerError(
            f"{folder} cannot be used for the data of a private Redis: {error.strerror}. Take a folder of your own."
        ) from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _socket_path(folder: Path) -> Path:
    """In `folder`, or, where that is too long for a unix socket, in a short folder of this user."""
    path = folder / "redis.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    name = f"rq-farm-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    temporary = Path(tempfile.gettempdir())
    short = temporary / name
    if len(os.fsencode(short / "redis.sock")) > SOCKET_PATH_LIMIT:
        short = Path("/tmp") / name  # noqa: S108  made private below
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
    status = short.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o170777 != 0o040700:
        raise RedisServerError(f"{short} should be a private folder for the socket of Redis, and is not. Remove it.")
    return short / "redis.sock"


def _quoted(text: str) -> str:
    """In the quotes of redis.conf."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
