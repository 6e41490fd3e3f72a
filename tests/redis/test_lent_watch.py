"""An idle process waits at Redis whatever its address is like, or leaves that to its host."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from farm.redis_server import RedisServer
from tests.support.effects import runs, wait_for_runs
from tests.support.farm import Farm
from tests.support.lent_watches import (
    begin_while_its_host_stands_still,
    wait_until_lent,
    wait_until_the_host_waits,
    waiting,
)
from tests.support.replicated_redis import Node
from tests.support.waiting import wait_until

FarmAt = Callable[[str], Farm]


@pytest.fixture
def farm_at(farm_environment: dict[str, str], tmp_path: Path) -> Iterator[FarmAt]:
    """Makes the farm of an address."""
    made: list[Farm] = []

    def make(url: str) -> Farm:
        made.append(Farm(url, farm_environment, tmp_path))
        return made[-1]

    yield make
    for one in made:
        one.close()


def runs_each_job_once(farm: Farm, count: int) -> bool:
    """Enqueues jobs one by one."""
    jobs = []
    for _ in range(count):
        jobs.append(farm.enqueue("count_run"))
        farm.wait_for(jobs[-1])
    return [farm.redis.hget("test:runs", job.id) for job in jobs] == [b"1"] * count


@pytest.mark.parametrize("tcp", [True, False], ids=["with a password, by port", "by unix socket"])
def test_a_process_waits_in_the_database_of_the_address(tcp: bool, farm_at: FarmAt, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "own-redis", tcp=tcp, append_only=False) as server:
        assert server.url.endswith("0")
        farm = farm_at(server.url[:-1] + "3")
        host = farm.host("one", processes=2)
        wait_until_lent(farm)
        (client,) = [one for one in farm.redis.client_list() if one["id"] in waiting(farm)]
        assert client["db"] == "3"

        job = begin_while_its_host_stands_still(farm, host)
        farm.go()

        farm.wait_for(job)
        assert runs_each_job_once(farm, 5)


def test_over_tls_the_host_waits_itself(farm_at: FarmAt, tls_port: int, certificates: Path) -> None:
    farm = farm_at(f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificates / 'ca.crt'}")
    farm.host("one", processes=2)
    wait_until_the_host_waits(farm)

    assert runs_each_job_once(farm, 10)

    assert not waiting(farm)


def leads(farm: Farm, node: Node) -> bool:
    """Whether the Sentinels name this one as the master."""
    try:
        _, port = farm.redis.connection_pool.get_master_address()
    except redis.ConnectionError:
        return False
    return bool(port == node.port)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_process_waits_at_the_master_and_at_the_new_one_after_a_failover(
    watched: tuple[Node, Node, str], farm_at: FarmAt, effects: Path
) -> None:
    master, replica, url = watched
    farm = farm_at(url)
    host = farm.host("one", processes=2)
    wait_until_lent(farm)
    assert runs_each_job_once(farm, 3)
    wait_until_lent(farm)
    began_before = farm.enqueue("mark_and_pause", 5.0, str(effects))
    wait_for_runs(effects, 1)
    farm.redis.wait(1, 1000)

    master.kill()
    wait_until(lambda: leads(farm, replica), "the Sentinels agree on the replica", 40)
    wait_until(lambda: "Redis is back after" in host.says, "the host is back", 40)

    farm.wait_for(began_before, timeout=40)
    wait_until_lent(farm)
    assert runs_each_job_once(farm, 10)
    assert runs(effects) == [1]
    assert farm.count("crashed") == farm.count("recovered") == 0
    assert "was given up" not in host.says
