"""Redis behind Sentinels: every client finds the master, and finds the new one after a failover."""

import asyncio
import re
import time
from pathlib import Path

import pytest
import redis

import farm as farm_package
from farm.errors import SettingsError
from farm.store import sentinel
from farm.store.connection import connect, connect_async, readable_errors
from tests.support.farm import Farm
from tests.support.replicated_redis import PASSWORD, Node
from tests.support.waiting import wait_until

SERVERS = re.escape("127.0.0.1:1, 127.0.0.1:2")


@pytest.mark.parametrize(
    ("url", "servers", "master", "options"),
    [
        ("redis+sentinel://one/m", (("one", 26379),), "m", {"db": 0}),
        (
            "redis+sentinel://user:p%40ss@one:1,two:2,[::1]:3/my-master/4",
            (("one", 1), ("two", 2), ("::1", 3)),
            "my-master",
            {"db": 4, "username": "user", "password": "p@ss"},
        ),
        (
            "rediss+sentinel://:pw@one:1/m?ssl_ca_certs=/ca.crt&sentinel_password=s3",
            (("one", 1),),
            "m",
            {"db": 0, "password": "pw", "ssl": True, "ssl_ca_certs": "/ca.crt"},
        ),
    ],
)
def test_an_address_of_sentinels_says_all(url: str, servers: object, master: str, options: dict[str, object]) -> None:
    address = sentinel.parse(url)
    assert (address.sentinels, address.master, dict(address.options)) == (servers, master, options)


def test_the_login_of_sentinels_is_apart_from_that_of_redis() -> None:
    address = sentinel.parse("rediss+sentinel://:pw@one/m?ssl_ca_certs=/ca&sentinel_username=u&sentinel_password=s3")
    assert dict(address.sentinel_options) == {
        "username": "u",
        "password": "s3",
        "ssl": True,
        "ssl_ca_certs": "/ca",
    }


@pytest.mark.parametrize("rest", ["one:1", "one:1/", "one:1/m/x", "one:1/m/0/1", "/m", "one:port/m"])
def test_an_address_that_is_none_is_refused_without_its_password(rest: str) -> None:
    for make in (connect, connect_async):
        with pytest.raises(SettingsError, match="redis\\+sentinel://") as refused:
            make(f"redis+sentinel://:secret@{rest}")
        assert "secret" not in str(refused.value)


def test_sentinels_that_do_not_answer_are_named_and_no_password_is() -> None:
    url = "redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:2/m?sentinel_password=secret"
    with connect(url) as client:
        with pytest.raises(farm_package.RedisUnavailable, match=SERVERS) as refused, readable_errors(url):
            client.ping()
        assert "secret" not in str(refused.value)
        assert "secret" not in repr(refused.value.__cause__)

    async def scenario() -> None:
        asynchronous = connect_async(url)
        with pytest.raises(redis.ConnectionError, match=SERVERS) as error:
            await asynchronous.ping()
        assert "secret" not in str(error.value)
        await asynchronous.aclose()

    asyncio.run(scenario())


def answers(farm: Farm) -> bool:
    try:
        return bool(farm.redis.ping())
    except redis.ConnectionError:
        return False


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_farm_behind_sentinels_goes_on_after_the_master_died(
    watched: tuple[Node, Node, str], farm_environment: dict[str, str], tmp_path: Path
) -> None:
    master, replica, url = watched
    farm = Farm(url, farm_environment, tmp_path)
    try:
        host = farm.host("one", processes=2)
        farm.wait_for(farm.enqueue("add", 1, 2))
        jobs = farm.enqueue_many("pause", [(0.05,)] * 100)
        wait_until(lambda: farm.count("finished") >= 5, "jobs run")
        with replica.client() as client:
            master_client = master.client()
            master_client.wait(1, 1000)
            master_client.close()
            master.kill()
            began = time.monotonic()
            wait_until(lambda: client.info("replication")["role"] == "master", "the replica is promoted", 30)
            wait_until(lambda: answers(farm), "the Sentinels agree on it", 30)
        promoted = time.monotonic() - began

        farm.wait_for(*jobs, timeout=40)
        with farm_package.Client(url) as own:
            assert own.queue().enqueue("system_jobs.add", 3, 4).result(timeout=20) == 7
        status = farm.command("status")

        assert status.returncode == 0, status
        assert "one" in status.stdout
        assert PASSWORD not in status.stderr + host.says
        assert "was given up" not in host.says
        wait_until(lambda: "Redis is back after" in host.says, "the host says so")
        assert host.says.count("Redis is back after") == 1
        print(f"promoted after {promoted:.1f} s")
    finally:
        farm.close()
