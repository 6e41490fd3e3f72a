"""Commands on connections of a client's pool: what the client keeps, what is raised, what comes after a loss."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from farm.store.connection import connect
from farm.store.direct import Direct
from tests.support.waiting import wait_until


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with connect(redis_url) as made:
        yield made


def _blocked(redis_client: redis.Redis) -> int:
    return int(redis_client.info("clients")["blocked_clients"])


@pytest.mark.parametrize("most", [1, 4])
def test_what_was_under_way_at_once_leaves_the_client_connections_of_its_own(
    redis_url: str, redis_client: redis.Redis, most: int
) -> None:
    with connect(f"{redis_url}&max_connections={most}") as client, ThreadPoolExecutor(most) as threads:
        direct = Direct(client)
        asked = [threads.submit(direct.ask, "BLPOP", "bell", 20) for _ in range(most)]
        wait_until(lambda: _blocked(redis_client) == most, "all of its connections wait")
        redis_client.rpush("bell", *range(most))
        assert {one.result(20)[0] for one in asked} == {b"bell"}

        assert client.ping()
        assert direct.ask("PING") == b"PONG"


def test_an_error_of_the_server_leaves_the_connection_in_use(client: redis.Redis) -> None:
    direct = Direct(client)
    number = direct.ask("CLIENT", "ID")

    with pytest.raises(redis.ResponseError, match="unknown command"):
        direct.ask("NO_SUCH_COMMAND")
    with pytest.raises(redis.exceptions.NoScriptError):
        direct.ask("EVALSHA", "0" * 40, 0)
    assert direct.ask("CLIENT", "ID") == number


@pytest.mark.parametrize("size", [0, 100, 65_536, 1_000_000])
def test_a_reply_of_any_size_is_read(client: redis.Redis, size: int) -> None:
    assert Direct(client).ask("ECHO", b"x" * size) == b"x" * size


def test_a_connection_that_was_closed_while_it_was_idle_is_made_anew(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    direct = Direct(client)
    number = direct.ask("CLIENT", "ID")
    redis_client.client_kill_filter(_id=str(number))

    assert direct.ask("CLIENT", "ID") > number


def test_a_connection_that_is_lost_amid_a_command_is_an_error_and_the_next_has_another(
    client: redis.Redis, redis_client: redis.Redis
) -> None:
    direct = Direct(client)
    number = direct.ask("CLIENT", "ID")
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(direct.ask, "BLPOP", "bell", 20)
        wait_until(lambda: _blocked(redis_client) == 1, "it waits")
        redis_client.client_kill_filter(_id=str(number))
        with pytest.raises(redis.ConnectionError):
            asked.result(20)

    assert direct.ask("PING") == b"PONG"


def test_a_server_that_says_nothing_is_given_up_and_its_late_reply_is_nobodys(redis_url: str) -> None:
    with connect(f"{redis_url}&socket_timeout=0.2") as client:
        direct = Direct(client)
        direct.ask("PING")
        with pytest.raises(redis.TimeoutError):
            direct.ask("BLPOP", "bell", 1)

        assert direct.ask("PING") == b"PONG"


def test_a_client_that_was_closed_connects_anew(client: redis.Redis) -> None:
    direct = Direct(client)
    direct.ask("PING")
    client.close()

    assert direct.ask("PING") == b"PONG"
