"""Fixtures of all tests. Redis is real, private, and one server per test process; its data is flushed for each test.

Marks: `every_engine` runs a test on each engine found (redis, valkey); `keys_without_ttl("pattern", ...)` permits keys
that the list in tests/support/leaks.py does not.
"""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm_worker.pool.left_children import adopt_orphans
from tests.support import leaks
from tests.support.redis_server import ServerPark, engines


def pytest_configure(config: pytest.Config) -> None:
    _heed_interrupts()
    config.addinivalue_line("markers", "every_engine: runs on each engine of Redis that is installed")
    config.addinivalue_line("markers", "keys_without_ttl(*patterns): keys that this test may leave without a TTL")
    leaks.mark_processes()
    # How long it takes says nothing here: other tests keep the machine busy meanwhile.
    settings.register_profile("beside other tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("beside other tests")


def _heed_interrupts() -> None:
    """A shell starts what it puts into the background with SIGINT ignored, and commands under test inherit that."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("every_engine") and "redis_server" in metafunc.fixturenames:
        metafunc.parametrize("redis_server", engines(), indirect=True, scope="session")


@pytest.fixture(scope="session")
def server_park(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerPark]:
    """The servers of this test process."""
    park = ServerPark(tmp_path_factory.mktemp("redis"))
    yield park
    park.stop()


@pytest.fixture(scope="session")
def redis_server(server_park: ServerPark, request: pytest.FixtureRequest) -> RedisServer:
    """A private Redis. It is shared: a test that stops, kills or configures a server takes `own_redis`."""
    return server_park.get(getattr(request, "param", None) or engines()[0])


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The address of an empty database."""
    redis_server.start()  # a test may have ended it
    with connect(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[redis.Redis]:
    """A client of the empty database. Answers are bytes."""
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def effects(tmp_path: Path) -> Path:
    """Where jobs count their runs: see tests/support/effects.py."""
    folder = tmp_path / "effects"
    folder.mkdir()
    return folder


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server of the test's own, with its data on disk: may be stopped, killed, started again and configured."""
    with RedisServer(tmp_path / "own-redis") as server:
        yield server


@pytest.fixture
def user_folder(tmp_path: Path) -> Path:
    """An empty folder for modules of a user."""
    folder = tmp_path / "user"
    folder.mkdir()
    return folder


@pytest.fixture
def farm_environment(redis_url: str, tmp_path: Path) -> dict[str, str]:
    """Variables for a subprocess: this test's Redis, an empty home, nothing of whoever runs the tests."""
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", leaks.SESSION_MARK)
    kept = {name: os.environ[name] for name in names if name in os.environ}
    home = tmp_path / "home"
    home.mkdir()
    return kept | {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "FARM_REDIS_URL": redis_url}


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest, server_park: ServerPark) -> Iterator[None]:
    """Fails a test that leaves a process, or a key that would stay for ever."""
    uses_redis = "redis_url" in request.fixturenames
    server: RedisServer | None = request.getfixturevalue("redis_server") if uses_redis else None
    yield
    adopt_orphans(False)  # a pool that ran in this process made it one
    survivors = leaks.describe_and_kill(leaks.survivors(server_park.process_ids()))
    keys = _keys_left(request, server) if server is not None and server.running else []
    assert not survivors, f"processes left behind: {survivors}"
    assert not keys, f"keys without TTL that are not on the list in tests/support/leaks.py: {keys}"


def _keys_left(request: pytest.FixtureRequest, server: RedisServer) -> list[str]:
    marker = request.node.get_closest_marker("keys_without_ttl")
    with connect(server.url) as client:
        return leaks.keys_without_end(client, marker.args if marker else ())
