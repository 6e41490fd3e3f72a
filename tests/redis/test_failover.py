"""Another server takes over, or this one refuses to serve: it counts as away, and jobs in flight go on."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

import farm as farm_package
from farm.keys import Keys
from farm.redis_server import RedisServer
from farm.store.connection import connect, readable_errors
from tests.support.effects import wait_for_runs
from tests.support.farm import Farm
from tests.support.fault_proxy import FaultProxy
from tests.support.replicated_redis import Node, master_and_replica, wait_in_step
from tests.support.waiting import wait_out, wait_until

KEYS = Keys()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    with master_and_replica(tmp_path) as nodes:
        yield nodes


@pytest.fixture
def farm(pair: tuple[Node, Node], farm_environment: dict[str, str], tmp_path: Path) -> Iterator[Farm]:
    """Its Redis is the master."""
    one = Farm(pair[0].url, farm_environment, tmp_path)
    yield one
    one.close()


@pytest.fixture
def movable(
    pair: tuple[Node, Node], farm_environment: dict[str, str], tmp_path: Path, proxy_to: Callable[[str], FaultProxy]
) -> Iterator[tuple[Farm, FaultProxy]]:
    """A farm that reaches the master through a proxy, which may lead elsewhere later."""
    proxy = proxy_to(pair[0].url)
    one = Farm(proxy.url, farm_environment, tmp_path)
    yield one, proxy
    one.close()


def expect_that_enqueueing_is_refused(url: str) -> None:
    refused = pytest.raises(farm_package.RedisUnavailable, match="cannot serve now")
    with farm_package.Client(url) as client, refused:
        client.queue().enqueue("system_jobs.add", 1, 2)


@pytest.mark.slow
def test_a_master_that_became_a_replica_is_away_until_it_is_master_again(farm: Farm, pair: tuple[Node, Node]) -> None:
    master, replica = pair
    host = farm.host("one", processes=2)
    job = farm.enqueue("pause", 4.0)
    wait_until(lambda: farm.status(job) == "started", "the job runs")

    with replica.client() as other:
        other.replicaof("NO", "ONE")
        farm.redis.replicaof("127.0.0.1", replica.port)
        wait_until(lambda: "Redis is away" in host.says, "the host says so")
        expect_that_enqueueing_is_refused(master.url)
        wait_in_step(master)
        farm.redis.replicaof("NO", "ONE")

    farm.wait_for(job, farm.enqueue("add", 1, 2), timeout=30)
    assert farm.count("finished") == 2
    wait_until(lambda: "Redis is back after" in host.says, "the host says so")
    assert host.says.count("Redis is away") == host.says.count("Redis is back after") == 1
    assert "was given up" not in host.says


@pytest.mark.slow
def test_hosts_follow_an_address_that_leads_to_the_new_master(
    pair: tuple[Node, Node], movable: tuple[Farm, FaultProxy]
) -> None:
    """The old master stays as a read-only replica, and its connections stay open."""
    master, replica = pair
    farm, proxy = movable
    host = farm.host("one", processes=2)
    jobs = farm.enqueue_many("pause", [(0.05,)] * 60)
    wait_until(lambda: farm.count("finished") >= 5, "jobs run")

    proxy.target = replica.url
    with replica.client() as new, master.client() as old:
        new.replicaof("NO", "ONE")
        old.replicaof("127.0.0.1", replica.port)
    farm.redis.connection_pool.disconnect()

    farm.wait_for(*jobs, timeout=30)
    farm.wait_for(farm.enqueue("add", 1, 2))
    assert "was given up" not in host.says


@pytest.mark.slow
def test_a_promoted_replica_that_missed_the_last_writes_leaves_no_job_stuck(
    pair: tuple[Node, Node], movable: tuple[Farm, FaultProxy]
) -> None:
    master, replica = pair
    farm, proxy = movable
    farm.host("one", processes=2)
    jobs = farm.enqueue_many("pause", [(0.05,)] * 60)
    wait_until(lambda: farm.count("finished") >= 10, "jobs run")
    with replica.client() as new:
        wait_until(lambda: int(new.hget(KEYS.counts("default"), "finished") or 0) >= 10, "the replica has them")
        new.replicaof("NO", "ONE")  # from here on it hears nothing of what the master accepts
        wait_until(lambda: farm.count("finished") >= 25, "more is done that the replica does not know")
        proxy.target = replica.url
        proxy.cut()
        master.kill()

        farm.redis.connection_pool.disconnect()
        farm.wait_for(*jobs, timeout=40)
        assert farm.count("finished") == 60, "outcomes that were lost were recorded anew"
        assert not new.keys("farm:host:*:running")


@pytest.mark.slow
def test_a_master_without_enough_replicas_is_away(farm: Farm) -> None:
    host = farm.host("one")
    farm.redis.config_set("min-replicas-to-write", 2)
    wait_until(lambda: "Redis is away" in host.says, "the host says so")
    expect_that_enqueueing_is_refused(farm.url)

    farm.redis.config_set("min-replicas-to-write", 0)

    farm.wait_for(farm.enqueue("add", 1, 2))


@pytest.mark.parametrize(
    "text",
    [
        "READONLY You can't write against a read only replica.",
        "LOADING Redis is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "NOREPLICAS Not enough good replicas to write.",
        "MISCONF Errors writing to the AOF file: No space left on device",
    ],
)
def test_a_server_that_cannot_serve_is_told_of_in_one_line(text: str) -> None:
    error = redis._parsers.base.BaseParser.parse_error(text)
    with pytest.raises(farm_package.RedisUnavailable, match="cannot serve now") as told, readable_errors("redis://h/0"):
        raise error
    assert "\n" not in str(told.value)


@pytest.mark.slow
def test_connections_that_a_server_closes_are_made_anew(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    """`SCRIPT FLUSH`, `CLIENT KILL`, an idle timeout of a second, and no room for clients."""
    farm = Farm(own_redis.url, farm_environment, tmp_path)
    try:
        host = farm.host("one", processes=2)
        farm.redis.config_set("timeout", 1)
        for fault in (
            farm.redis.script_flush,
            lambda: farm.redis.client_kill_filter(_type="normal", skipme=True),
            lambda: farm.redis.client_kill_filter(_type="pubsub", skipme=True),
            farm.redis.script_flush,
        ):
            jobs = farm.enqueue_many("pause", [(0.02,)] * 20)
            fault()
            farm.wait_for(*jobs)
        farm.redis.config_set("maxclients", 1)
        farm.redis.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: "Redis is away" in host.says, "the host says so")
        farm.redis.config_set("maxclients", 1000)
        farm.wait_for(farm.enqueue("add", 1, 2))
        assert farm.count("finished") == 81
        assert host.says.count("Redis is away") == 1
    finally:
        farm.close()


@pytest.mark.slow
def test_a_redis_that_forgot_everything_gets_its_hosts_back(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path, effects: Path
) -> None:
    farm = Farm(own_redis.url, farm_environment, tmp_path)
    try:
        farm.host("one")
        farm.enqueue("mark_and_pause", 2.0, str(effects))
        wait_for_runs(effects, 1)

        farm.redis.flushall()

        wait_until(lambda: farm.published("one").get("state") == "available", "the host is back", 20)
        farm.wait_for(farm.enqueue("add", 1, 2), timeout=20)
        wait_out(2)
        assert farm.count("finished") == 1
        assert len(farm.redis.keys("rq:job:*")) == 1, "no stump of the job that was forgotten"
    finally:
        farm.close()


def test_a_url_of_a_name_is_resolved_anew_with_each_connection(
    redis_url: str, proxy_to: Callable[[str], FaultProxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = proxy_to(redis_url)
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolve(host: str, *arguments: object, **options: object) -> object:
        asked.append(host)
        if len(asked) == 2:
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with connect(f"redis://redis.example:{proxy.port}/0") as client:
        assert client.ping()
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        assert client.ping()
    assert asked == ["redis.example"] * 3
