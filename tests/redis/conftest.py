"""Farms whose Redis is the test's own, proxies that come between them, and servers behind Sentinels or TLS."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from farm.redis_server import RedisServer
from farm.tether import tethered
from tests.support.farm import Farm
from tests.support.fault_proxy import FaultProxy
from tests.support.replicated_redis import MASTER_NAME, PASSWORD, Node, master_and_replica, sentinels
from tests.support.waiting import wait_until


@pytest.fixture
def own_farm(own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path) -> Iterator[Farm]:
    """A farm whose Redis is the test's own: it may be stopped, killed, configured."""
    one = Farm(own_redis.url, farm_environment, tmp_path)
    yield one
    one.close()


@pytest.fixture
def farm(redis_url: str, farm_environment: dict[str, str], tmp_path: Path) -> Iterator[Farm]:
    """An empty farm: the test starts what it needs."""
    one = Farm(redis_url, farm_environment, tmp_path)
    yield one
    one.close()


@pytest.fixture
def proxy_to() -> Iterator[Callable[[str], FaultProxy]]:
    """Makes proxies for servers by their URL; they end with the test."""
    with ExitStack() as proxies:
        yield lambda url: proxies.enter_context(FaultProxy(url))


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Node, Node, str]]:
    """Master, replica, and the address of the Sentinels that watch them."""
    with master_and_replica(tmp_path) as (master, replica), sentinels(tmp_path, master) as nodes:
        servers = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        yield master, replica, f"redis+sentinel://:{PASSWORD}@{servers}/{MASTER_NAME}/0"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority of our own (`ca.crt`), and what it signed for `localhost` (`server.crt`, `server.key`)."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority")
    request = ("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost")
    signing = ("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for words in (
        (*authority, "-keyout", "ca.key", "-out", "ca.crt"),
        (*request, "-keyout", "server.key", "-out", "server.csr"),
        (*signing, "-days", "2", "-extfile", "names", "-out", "server.crt"),
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_port(certificates: Path, tmp_path: Path) -> Iterator[int]:
    """Of a server that speaks TLS only."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    options = {
        "--port": "0",
        "--tls-port": str(port),
        "--tls-cert-file": str(certificates / "server.crt"),
        "--tls-key-file": str(certificates / "server.key"),
        "--tls-ca-cert-file": str(certificates / "ca.crt"),
        "--tls-auth-clients": "no",
        "--save": "",
        "--dir": str(tmp_path),
    }
    words = ["redis-server", *(part for pair in options.items() for part in pair)]
    process = subprocess.Popen(tethered(words), stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "the server listens")
        if process.poll() is not None:
            pytest.skip("this redis-server speaks no TLS")
        yield port
    finally:
        process.kill()
        process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
