"""The proxy that other tests trust: what each of its faults does to a connection."""

import gc
import socket
import time
from collections.abc import Iterator

import pytest
import redis

from farm.store.connection import CONNECTION_LOST, connect
from tests.support.fault_proxy import FaultProxy
from tests.support.waiting import wait_until

INCREMENT = b"*3\r\n$6\r\nINCRBY\r\n$6\r\ntest:n\r\n$1\r\n1\r\n"
"""What the client sends for `incr("test:n")`."""


@pytest.fixture
def proxy(redis_url: str) -> Iterator[FaultProxy]:
    with FaultProxy(redis_url) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[redis.Redis]:
    with connect(proxy.url) as client:
        client.ping()
        yield client


def test_what_is_sent_comes_through_and_back(client: redis.Redis) -> None:
    payload = bytes(range(256)) * 1000
    client.set("test:big", payload)
    assert client.get("test:big") == payload


def test_a_cut_ends_all_connections_and_new_ones_work(proxy: FaultProxy, client: redis.Redis) -> None:
    connection = client.connection_pool.get_connection()
    assert proxy.cut() == 1
    with pytest.raises(CONNECTION_LOST):
        connection.read_response()
    client.connection_pool.release(connection)
    assert client.ping()
    assert proxy.accepted == 2


def test_a_request_cut_before_its_last_byte_is_never_done(
    proxy: FaultProxy, client: redis.Redis, redis_client: redis.Redis
) -> None:
    for count in range(len(INCREMENT)):
        proxy.cut_request_at(count)
        with pytest.raises(CONNECTION_LOST):
            client.incr("test:n")
        client.ping()
    assert redis_client.get("test:n") is None
    assert proxy.cuts == len(INCREMENT)


def test_a_request_cut_after_its_last_byte_is_done_and_nobody_hears_of_it(
    proxy: FaultProxy, client: redis.Redis, redis_client: redis.Redis
) -> None:
    proxy.cut_request_at(len(INCREMENT), containing=b"INCR")
    with pytest.raises(CONNECTION_LOST):
        client.incr("test:n")
    assert redis_client.get("test:n") == b"1"


def test_a_dropped_reply_leaves_the_command_done(
    proxy: FaultProxy, client: redis.Redis, redis_client: redis.Redis
) -> None:
    proxy.cut_reply_at(0, containing=b"INCR")
    client.ping()
    with pytest.raises(CONNECTION_LOST):
        client.incr("test:n")
    assert redis_client.get("test:n") == b"1"


def test_delayed_and_dripping_replies_come_whole(proxy: FaultProxy, client: redis.Redis) -> None:
    client.set("test:text", "a" * 50)
    proxy.reply_delay, proxy.drip = 0.2, 0.001
    began = time.monotonic()
    assert client.get("test:text") == b"a" * 50
    assert time.monotonic() - began > 0.2


def test_what_is_held_comes_through_later(proxy: FaultProxy, client: redis.Redis, redis_client: redis.Redis) -> None:
    proxy.hold()
    connection = client.connection_pool.get_connection()
    connection.send_command("INCR", "test:n")
    assert not connection.can_read(timeout=0.2)
    assert redis_client.get("test:n") is None
    proxy.forward()
    assert connection.read_response() == 1
    client.connection_pool.release(connection)


def test_what_is_swallowed_is_gone_and_the_connection_stays(proxy: FaultProxy, client: redis.Redis) -> None:
    proxy.swallow()
    connection = client.connection_pool.get_connection()
    connection.send_command("INCR", "test:n")
    assert not connection.can_read(timeout=0.2)
    proxy.forward()
    assert not connection.can_read(timeout=0.2)  # what it lost does not come again
    connection.disconnect()
    client.connection_pool.release(connection)
    assert client.get("test:n") is None


def test_a_proxy_that_refuses_listens_again_on_its_port(proxy: FaultProxy, client: redis.Redis) -> None:
    proxy.refuse()
    for _ in range(2):
        with pytest.raises(CONNECTION_LOST):
            client.ping()
    proxy.forward()
    assert client.ping()
    wait_until(lambda: proxy.open_connections == 1, "one connection is left")


def test_connections_that_come_as_it_ends_are_closed(redis_url: str) -> None:
    """Left to the garbage collector they would be blamed on another test."""
    for _ in range(20):
        with FaultProxy(redis_url) as proxy:
            arrived = [socket.create_connection(("127.0.0.1", proxy.port)) for _ in range(3)]
        for connection in arrived:
            connection.close()
    gc.collect()
