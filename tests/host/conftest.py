"""Farms of real processes: one of a test's own, or one that the tests of a module share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.redis_server import RedisServer
from farm.store.connection import connect
from tests.support import leaks
from tests.support.farm import Farm


@pytest.fixture
def farm(redis_url: str, farm_environment: dict[str, str], tmp_path: Path, user_folder: Path) -> Iterator[Farm]:
    """An empty farm: the test starts what it needs."""
    one = Farm(redis_url, farm_environment, tmp_path, [user_folder])
    yield one
    one.close()


@pytest.fixture
def own_farm(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path, user_folder: Path
) -> Iterator[Farm]:
    """A farm whose Redis is the test's own: it may be stopped and started again."""
    one = Farm(own_redis.url, farm_environment, tmp_path, [user_folder])
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared_farm(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two hosts, of two processes and of one, that serve the queues `default` and `low`. Nobody may stop them."""
    folder = tmp_path_factory.mktemp("farm")
    redis_server.start()
    with connect(redis_server.url) as client:
        client.flushall()
    names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # The mark of the session is missing: the check after each test must not take these processes for forgotten ones.
    one = Farm(redis_server.url, kept | {"HOME": str(folder), leaks.SHARED_MARK: "1"}, folder)
    try:
        one.host("one", processes=2, queues="default,low", app="calm", ready=False)
        one.host("two", queues="default,low", app="calm")
        one.wait_for_state("one", "available")
        yield one
        keys = leaks.keys_without_end(one.redis)
        assert not keys, f"keys without TTL that are not on the list in tests/support/leaks.py: {keys}"
    finally:
        one.close()


@pytest.fixture
def clean_shared_farm(shared_farm: Farm) -> Iterator[Farm]:
    """The shared farm without traces of other tests' jobs; jobs that still wait for a go get it at the end."""
    shared_farm.redis.delete("test:go", "test:notes", "test:callbacks")
    yield shared_farm
    shared_farm.go()


@pytest.fixture
def logs_of_shared_farm(shared_farm: Farm) -> Iterator[None]:
    """Shows what the shared hosts said during the test, if it fails."""
    before = {member.name: len(member.says) for member in shared_farm.members}
    yield
    for member in shared_farm.members:
        print(f"--- {member.name}\n{member.says[before[member.name] :][-4000:]}")
