"""Farms whose Redis is the test's own, and proxies that come between them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from farm.redis_server import RedisServer
from tests.support.farm import Farm
from tests.support.fault_proxy import FaultProxy


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
