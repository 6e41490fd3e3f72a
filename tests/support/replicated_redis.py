"""A master and its replica, for failover; and Sentinels that watch them."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import redis

from farm.redis_server import find_all
from farm.tether import tethered
from tests.support.waiting import wait_until

PASSWORD = "replicated"
MASTER_NAME = "the-master"


class Node:
    """One server on a port of the loopback, started with options of redis.conf."""

    def __init__(self, folder: Path, *options: str, sentinel: bool = False, program: Path | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self._sentinel = sentinel
        self._program = program or next(binary.path for binary in find_all() if binary.engine == "redis")
        folder.mkdir()
        self._configuration = folder / ("sentinel.conf" if sentinel else "redis.conf")
        lines = [f"port {self.port}", "bind 127.0.0.1", f'dir "{folder}"', *options]
        self._configuration.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=None if self._sentinel else PASSWORD)

    def start(self) -> None:
        words = [str(self._program), str(self._configuration), *(["--sentinel"] if self._sentinel else [])]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(tethered(words), stdout=log, stderr=log, start_new_session=True)
        wait_until(self._answers, f"the server on port {self.port} answers", 15)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@contextmanager
def master_and_replica(folder: Path) -> Iterator[tuple[Node, Node]]:
    """Both in step. The second may be promoted by `REPLICAOF NO ONE`."""
    options = ('save ""', f"requirepass {PASSWORD}", f"masterauth {PASSWORD}", "repl-diskless-sync-delay 0")
    with ExitStack() as nodes:
        master = Node(folder / "master", *options)
        nodes.callback(master.kill)
        replica = Node(folder / "replica", *options, f"replicaof 127.0.0.1 {master.port}")
        nodes.callback(replica.kill)
        wait_in_step(replica)
        yield master, replica


@contextmanager
def sentinels(folder: Path, master: Node, count: int = 3) -> Iterator[list[Node]]:
    """They promote the replica within seconds when the master is gone."""
    options = (
        f"sentinel monitor {MASTER_NAME} 127.0.0.1 {master.port} {count // 2 + 1}",
        f"sentinel auth-pass {MASTER_NAME} {PASSWORD}",
        f"sentinel down-after-milliseconds {MASTER_NAME} 1000",
        f"sentinel failover-timeout {MASTER_NAME} 5000",
    )
    with ExitStack() as nodes:
        started = []
        for number in range(count):
            started.append(Node(folder / f"sentinel-{number}", *options, sentinel=True))
            nodes.callback(started[-1].kill)
        wait_until(lambda: all(_sees_all(node, count) for node in started), "the Sentinels know each other", 20)
        yield started


def wait_in_step(replica: Node) -> None:
    with replica.client() as client:
        wait_until(lambda: client.info("replication")["master_link_status"] == "up", "the replica is in step", 20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _sees_all(node: Node, count: int) -> bool:
    with node.client() as client:
        state = client.sentinel_master(MASTER_NAME)
        return bool(state["num-other-sentinels"] == count - 1 and state["num-slaves"] == 1)
