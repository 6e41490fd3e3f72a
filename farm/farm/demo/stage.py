"""Everything that takes part: a private Redis, a coordinator, two hosts, and the service that enqueues."""

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from farm.demo.failure import DemoFailed
from farm.demo.program import Program
from farm.isolation import isolated_command, isolated_environment
from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm.store.job_reader import Connection
from farm.up.child import describe_exit
from farm_settings import Settings, load

QUEUE = "sources"
HOSTS = ("demo-1", "demo-2")
PROCESSES = 2
QUIET_LOAD, FULL_LOAD = 0.1, 1.0

SETTINGS = {"FARM_SUSPECT_AFTER": "2", "FARM_HOST_TIMEOUT": "5"}
"""A lost host is given up sooner than by default, so that nobody has to wait for it."""

KEPT_VARIABLES = ("FARM_USER_PYTHONPATH", "FARM_MEMORY_THRESHOLD")
"""Where the farm itself was found, and a way out on machines whose memory is in use."""

SERVICE = Path(__file__).parent / "service"


class Stage:
    """A farm in a temporary folder. Leaving the context kills every process and deletes the folder."""

    url: str
    """Of its Redis."""
    redis_client: Connection
    settings: Settings

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._exits = ExitStack()
        self._hosts: dict[str, Program] = {}
        self._others: list[Program] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exits.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exits.close()

    def set_load(self, value: float) -> None:
        """What each host's load function says from now on."""
        for host in HOSTS:
            written = self._folder / f"{host}.new"
            written.write_text(f"{value}\n")
            written.replace(self._load_file(host))

    def enqueue(self, count: int) -> None:
        """Has the service enqueue as many files more. Returns at once."""
        self._service.tell(str(count))

    def enqueued(self) -> dict[str, str]:
        """What the service has enqueued by its own account: id of the job → file."""
        whole_lines = self._ledger.read_text().rpartition("\n")[0].splitlines()
        return dict(line.split("\t") for line in whole_lines)

    def host(self, name: str) -> Program:
        """One of the hosts."""
        return self._hosts[name]

    def kill_host(self, name: str) -> int:
        """SIGKILL to a host and its processes. Returns how many processes that were."""
        return self._hosts.pop(name).kill()

    def check(self) -> None:
        """Raises DemoFailed if something ended by itself."""
        if not self._server.running:
            raise DemoFailed("The private Redis ended, though nobody asked it to.")
        for program in (*self._hosts.values(), *self._others):
            if program.exit_code is not None:
                raise DemoFailed(f"{program.name} {describe_exit(program.exit_code)}.\n{program.last_words()}")

    def last_words(self) -> str:
        """The ends of all logs."""
        return "\n".join(program.last_words() for program in (*self._hosts.values(), *self._others))

    def _start(self) -> None:
        self._folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="farm-demo-")))
        self._ledger = self._folder / "ledger"
        self._ledger.touch()
        self._server = self._exits.enter_context(RedisServer(self._folder / "redis", append_only=False))
        self.url = self._server.url
        self._environ = _environment(self.url)
        self.settings = load(environ=self._environ)
        self.redis_client = connect(self.url)
        self._exits.callback(self.redis_client.close)
        self.set_load(QUIET_LOAD)
        self._others.append(self._start_ours("coordinator", "farm.coordinator", {}))
        for host in HOSTS:
            self._hosts[host] = self._start_ours(host, "farm_worker", self._host_variables(host))
        self._service = self._start_service()
        self._others.append(self._service)

    def _host_variables(self, host: str) -> dict[str, str]:
        return {
            "FARM_NAME": host,
            "FARM_QUEUES": QUEUE,
            "FARM_APP": "load_file",
            "FARM_PROCESSES": str(PROCESSES),
            "FARM_IDLE_PROCESSES": str(PROCESSES),
            "FARM_STANDBY_COORDINATOR": "false",
            "DEMO_LOAD_FILE": str(self._load_file(host)),
        }

    def _start_ours(self, name: str, module: str, variables: Mapping[str, str]) -> Program:
        environ = isolated_environment({**self._environ, **variables})
        return self._start_program(name, isolated_command(module, [], environ), environ)

    def _start_service(self) -> Program:
        listed = self._folder / "files"
        listed.write_text("".join(f"{path}\n" for path in self._files))
        program = str(SERVICE / "enqueue_sources.py")
        command = [sys.executable, "-P", program, self.url, QUEUE, str(listed), str(self._ledger)]
        environ = {name: value for name, value in self._environ.items() if not name.startswith("FARM_")}
        folders = _folders_with_rq(self._environ)
        return self._start_program("service", command, environ | ({"PYTHONPATH": folders} if folders else {}))

    def _start_program(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> Program:
        program = Program(name, command, environ, self._folder / f"{name}.log")
        self._exits.callback(program.kill)
        return program

    def _load_file(self, host: str) -> Path:
        return self._folder / f"{host}.load"


def _environment(redis_url: str) -> dict[str, str]:
    """The user's variables without his settings: the show is the same whatever he uses the farm for."""
    own = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or not name.startswith(("FARM_", "RQ_"))
    }
    return own | SETTINGS | {"FARM_REDIS_URL": redis_url, "FARM_PATH": str(SERVICE)}


def _folders_with_rq(environ: Mapping[str, str]) -> str:
    """Those folders of the user's path in which rq was installed; where he keeps his own modules is not among them."""
    folders = environ.get("FARM_USER_PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if folder and Path(folder, "rq", "__init__.py").is_file())
