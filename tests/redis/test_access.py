"""Who may do what: logins, permissions of Redis's users (ACL), TLS. One clear line at the start, and no secret told."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from rq import Queue

import farm as farm_package
from farm.keys import Keys
from farm.redis_server import RedisServer
from farm.store.connection import connect, readable_errors
from tests.support.farm import Farm
from tests.support.lent_watches import wait_until_lent, waiting
from tests.support.waiting import wait_until

KEYS = Keys()
SECRET = "s3cr3t-pass"
DOCUMENT = Path(__file__).parents[2] / "docs" / "redis.md"


def rules(user: str) -> list[str]:
    """What docs/redis.md says that this user needs."""
    found = re.search(rf"^ACL SETUSER {user} (.*?)\n(?!  )", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/redis.md names no user {user}"
    return found[1].replace("PASSWORD", SECRET).split()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "own-redis", tcp=True, append_only=False) as server:
        yield server


@pytest.fixture
def admin(server: RedisServer) -> Iterator[redis.Redis]:
    with connect(server.url) as client:
        yield client


def url_of(server: RedisServer, user: str, password: str = SECRET) -> str:
    return f"redis://{user}:{password}@{server.url.partition('@')[2]}"


@pytest.fixture
def farm(server: RedisServer, admin: redis.Redis, farm_environment: dict[str, str], tmp_path: Path) -> Iterator[Farm]:
    """Its members log in as the user `farm` of docs/redis.md; the test itself as the default user."""
    admin.execute_command("ACL", "SETUSER", "farm", *rules("farm"))
    one = Farm(url_of(server, "farm"), farm_environment, tmp_path)
    one.redis.close()
    one.redis = admin
    yield one
    one.close()


@pytest.mark.slow
def test_a_farm_needs_no_more_than_the_permissions_in_the_docs(
    farm: Farm, admin: redis.Redis, server: RedisServer
) -> None:
    admin.execute_command("ACL", "SETUSER", "shop", *rules("shop"))
    host = farm.host("one", processes=2)

    with farm_package.Client(url_of(server, "shop")) as client:
        assert client.queue().enqueue("system_jobs.add", 1, 2).result(timeout=20) == 3
        handles = client.queue(result_ttl=60).enqueue_many([("system_jobs.add", (1, 2), {})] * 3)
        assert [handle.result(timeout=20) for handle in handles] == [3, 3, 3]
        running = client.queue().enqueue("system_jobs.pause", 60)
        wait_until(lambda: running.status().status == "started", "the job runs")
        running.cancel(grace=0.1)
        wait_until(lambda: running.status().status == "stopped", "the job is stopped")
    with connect(url_of(server, "shop")) as connection:
        job = Queue("default", connection=connection).enqueue("system_jobs.fail")
        farm.wait_for(job, status="failed")
    for words in (("status",), ("job", job.id), ("host", "one"), ("events",), ("settings",)):
        said = farm.command(*words)
        assert said.returncode == 0, said
    assert host.stop() == 0
    assert "NOPERM" not in host.says
    assert "permission" not in host.says
    refused = [entry["object"] for entry in admin.acl_log() if entry["reason"] != "auth"]
    assert refused == []


def test_a_wrong_password_ends_the_start_with_one_line(farm: Farm, server: RedisServer) -> None:
    url = url_of(server, "farm", "wrong-secret")
    host = farm.host("one", ready=False, redis_url=url)
    coordinator = farm.coordinator(redis_url=url)

    assert (host.wait(), coordinator.wait()) == (3, 3)

    for member in (host, coordinator):
        assert member.says.count("Error:") == 1
        assert "refused the login" in member.says
        assert "wrong-secret" not in member.says
        assert "Traceback" not in member.says


def test_a_process_waits_for_jobs_with_the_permissions_in_the_docs(farm: Farm, admin: redis.Redis) -> None:
    farm.host("one", processes=2)
    for _ in range(5):
        wait_until_lent(farm)
        (client,) = [one for one in admin.client_list() if one["id"] in waiting(farm)]
        assert client["user"] == "farm"
        farm.wait_for(farm.enqueue("add", 1, 2))

    assert [entry["object"] for entry in admin.acl_log() if entry["reason"] != "auth"] == []


@pytest.mark.slow
def test_a_missing_permission_ends_the_start_with_one_line(farm: Farm, admin: redis.Redis) -> None:
    admin.execute_command("ACL", "SETUSER", "farm", "resetkeys", "~rq:*")

    host = farm.host("one", ready=False)

    assert host.wait() == 3
    assert "refuses a command" in host.says
    assert "docs/redis.md" in host.says
    assert "Traceback" not in host.says
    assert SECRET not in host.says


@pytest.mark.slow
def test_a_farm_runs_where_info_is_forbidden(farm: Farm, admin: redis.Redis) -> None:
    admin.execute_command("ACL", "SETUSER", "farm", "-info")

    farm.host("one")

    farm.wait_for(farm.enqueue("add", 1, 2))
    assert farm.command("status").returncode == 0


@pytest.mark.slow
def test_a_running_host_whose_login_ends_keeps_its_jobs_and_goes_on_when_it_is_let_in_again(
    farm: Farm, admin: redis.Redis
) -> None:
    host = farm.host("one")
    job = farm.enqueue("pause", 4.0)
    wait_until(lambda: farm.status(job) == "started", "the job runs")
    admin.execute_command("ACL", "SETUSER", "farm", "resetpass", ">another")
    admin.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: "Redis is away" in host.says, "the host says so")

    admin.execute_command("ACL", "SETUSER", "farm", *rules("farm"))

    assert farm.wait_for(job).return_value() == 4.0
    assert farm.count("recovered") == 0
    assert SECRET not in host.says
    assert host.says.count("Redis is away") == 1


@pytest.mark.slow
def test_a_running_host_whose_permissions_end_keeps_its_jobs(farm: Farm, admin: redis.Redis) -> None:
    host = farm.host("one")
    job = farm.enqueue("pause", 3.0)
    wait_until(lambda: farm.status(job) == "started", "the job runs")
    admin.execute_command("ACL", "SETUSER", "farm", "-@all")
    wait_until(lambda: "Redis is away" in host.says, "the host says so")

    admin.execute_command("ACL", "SETUSER", "farm", *rules("farm"))

    assert farm.wait_for(job).return_value() == 3.0
    assert farm.count("recovered") == 0
    assert host.process.poll() is None


@pytest.mark.slow
def test_a_farm_runs_over_tls_with_an_authority_of_its_own(
    tls_port: int, certificates: Path, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    url = f"rediss://localhost:{tls_port}/0?ssl_ca_certs={certificates / 'ca.crt'}"
    farm = Farm(url, farm_environment, tmp_path)
    try:
        farm.host("one")
        assert farm.wait_for(farm.enqueue("add", 1, 2)).return_value() == 3
        assert farm.command("status").returncode == 0
    finally:
        farm.close()


def test_a_certificate_that_is_not_trusted_is_told_of_in_one_line(tls_port: int) -> None:
    url = f"rediss://localhost:{tls_port}/0"
    refused = pytest.raises(farm_package.RedisRefused, match="ssl_ca_certs")
    with connect(url) as client, refused as told, readable_errors(url):
        client.ping()
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_tls_on_one_side_only_is_told_of_in_one_line(scheme: str, tls_port: int, server: RedisServer) -> None:
    plain_port = int(server.url.rpartition(":")[2].partition("/")[0])
    url = f"{scheme}://localhost:{tls_port if scheme == 'redis' else plain_port}/0"
    refused = pytest.raises(farm_package.RedisUnavailable, match=f"{scheme}://")
    with connect(url) as client, refused as told, readable_errors(url):
        client.ping()
    assert "\n" not in str(told.value)
