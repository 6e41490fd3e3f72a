import dataclasses
import json
import subprocess
from pathlib import Path

import pytest
import redis
from click.testing import CliRunner

from farm.cli import command_line
from farm.doctor import durability, hosts, records, server
from farm.doctor.finding import Finding
from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from farm.store.connection import connect
from farm.store.inspect import snapshot
from farm.store.server_facts import ServerFacts, SlowCommand, WrongType, eviction_warning, read_facts
from tests.support.coordinator_process import coordinators
from tests.support.farm import COMMANDS
from tests.support.planted import KEYS, RQ_KEYS, plant_deferral, plant_host, plant_leader, plant_queue
from tests.support.waiting import wait_until

HEALTHY = ServerFacts(
    information={
        "redis_version": "7.2.4",
        "maxmemory_policy": "noeviction",
        "aof_enabled": 1,
        "role": "master",
        "used_memory": 1 << 20,
        "maxmemory": 1 << 30,
    },
    configuration={"appendfsync": "everysec", "timeout": "0", "stream-node-max-bytes": "300"},
    pings=(0.001,) * 50,
    clock_difference=0.001,
    slow_commands=(),
    wrong_types=(),
    queues=1,
    other_rq_prefixes=(),
    other_farm_prefixes=(),
    jobs_sampled=10,
    ended_without_ttl=0,
    mended={},
)
FORBIDDEN = dataclasses.replace(HEALTHY, information=None, configuration={}, slow_commands=None)
OF_THE_SERVER = (
    *(durability.eviction, durability.append_only_file, durability.snapshot, durability.replication),
    *(durability.memory, durability.small_streams),
    *(server.version, server.clock, server.latency, server.slow_commands, server.idle_timeout),
    *(records.key_types, records.expiry, records.mended),
)


def with_information(**values: object) -> ServerFacts:
    return dataclasses.replace(HEALTHY, information={**(HEALTHY.information or {}), **values})


def with_configuration(**values: str) -> ServerFacts:
    named = {name.replace("_", "-"): value for name, value in values.items()}
    return dataclasses.replace(HEALTHY, configuration={**HEALTHY.configuration, **named})


@pytest.mark.parametrize("check", OF_THE_SERVER, ids=lambda check: check.__name__)
def test_a_healthy_server_has_nothing_to_mend(check) -> None:
    finding = check(HEALTHY)
    assert (finding.state, finding.remedy) == ("ok", "")


@pytest.mark.parametrize(
    ("check", "facts", "state", "found"),
    [
        (durability.eviction, with_information(maxmemory_policy="allkeys-lru"), "error", "allkeys-lru"),
        (durability.append_only_file, with_information(aof_enabled=0), "warning", "off"),
        (durability.append_only_file, with_information(aof_last_write_status="err"), "error", "write failed"),
        (durability.append_only_file, with_information(aof_last_bgrewrite_status="err"), "error", "rewrite failed"),
        (durability.append_only_file, with_configuration(appendfsync="no"), "warning", "never synced"),
        (durability.snapshot, with_information(rdb_last_bgsave_status="err"), "error", "refuses writes"),
        (durability.snapshot, with_information(loading=1), "error", "loading"),
        (durability.replication, with_information(role="slave", master_host="db", master_port=1), "error", "db:1"),
        (durability.memory, with_information(used_memory=900 << 20), "warning", "900 of 1024 MB"),
        (durability.memory, with_information(used_memory=1 << 30), "error", "refused"),
        (durability.small_streams, with_configuration(stream_node_max_bytes="4096"), "warning", "5.2 kB"),
        (server.version, with_information(redis_version="6.0.16"), "error", "too old"),
        (server.version, with_information(redis_version="7.2.4", valkey_version="8.1.0"), "ok", "Valkey 8.1.0"),
        (server.clock, dataclasses.replace(HEALTHY, clock_difference=-90.0), "warning", "90.000 s behind"),
        (server.latency, dataclasses.replace(HEALTHY, pings=[0.02] * 50), "warning", "median 20.0 ms"),
        (server.latency, dataclasses.replace(HEALTHY, pings=[0.001] * 49 + [0.5]), "warning", "slowest 500.0 ms"),
        (
            server.slow_commands,
            dataclasses.replace(HEALTHY, slow_commands=[SlowCommand("KEYS *", 2.5, 60), SlowCommand("GET", 9, 7200)]),
            "warning",
            "1 in the last hour, the slowest 2.50 s: KEYS *",
        ),
        (server.idle_timeout, with_configuration(timeout="5"), "warning", "after 5 s"),
        (
            records.key_types,
            dataclasses.replace(HEALTHY, wrong_types=[WrongType("rq:queue:q", "list", "string")]),
            "error",
            "rq:queue:q is a string, not a list",
        ),
        (records.expiry, dataclasses.replace(HEALTHY, ended_without_ttl=3), "warning", "3 of 10"),
        (records.mended, dataclasses.replace(HEALTHY, mended={"started": 3}), "ok", "started 3"),
    ],
)
def test_what_is_wrong_with_a_server_is_said_with_a_remedy(check, facts, state, found) -> None:
    finding = check(facts)
    assert finding.state == state
    assert found in finding.found
    assert bool(finding.remedy) == (state != "ok")


def test_what_redis_does_not_tell_is_unknown() -> None:
    states = {check.__name__: check(FORBIDDEN).state for check in OF_THE_SERVER}
    known = {name for name, state in states.items() if state != "unknown"}
    assert known == {"clock", "latency", "key_types", "expiry", "mended"}


def finding_of(check, client: redis.Redis) -> Finding:
    return check(snapshot(client, KEYS, RQ_KEYS))


def test_hosts_without_a_leader_are_an_error(redis_client: redis.Redis) -> None:
    assert finding_of(hosts.coordinator, redis_client).state == "warning"
    plant_host(redis_client, "worker-1")
    assert finding_of(hosts.coordinator, redis_client).state == "error"
    plant_leader(redis_client)
    assert finding_of(hosts.coordinator, redis_client).state == "ok"


def test_hosts_that_do_not_work_are_named(redis_client: redis.Redis) -> None:
    plant_host(redis_client, "fine", version="1.0")
    assert finding_of(hosts.hosts, redis_client) == Finding("hosts", "ok", "live: 1")
    plant_host(redis_client, "silent", age=5)
    assert "silent" in finding_of(hosts.hosts, redis_client).found
    plant_host(redis_client, "ill", state="unhealthy", reason="no process starts", version="1.1")
    assert finding_of(hosts.hosts, redis_client).found == "unhealthy: ill: no process starts"
    plant_host(redis_client, "dead", age=60)
    assert finding_of(hosts.hosts, redis_client).state == "error"
    assert finding_of(hosts.versions, redis_client).found == "1.0: fine; 1.1: ill"


def test_queues_that_nobody_serves_or_that_are_deferred_are_named(redis_client: redis.Redis) -> None:
    plant_queue(redis_client, "alone", 3)
    plant_queue(redis_client, "default", 2)
    assert finding_of(hosts.unserved_queues, redis_client).found == "alone (3 waiting), default (2 waiting)"
    plant_host(redis_client, "worker-1", queues="default")
    plant_deferral(redis_client, "default", 20, 2)
    assert finding_of(hosts.unserved_queues, redis_client).found == "alone (3 waiting)"
    assert finding_of(hosts.deferred_queues, redis_client).found == "default (2 jobs)"


def test_a_wrong_prefix_is_noticed(redis_client: redis.Redis) -> None:
    def finding(keys: Keys = KEYS, rq_keys: RqKeys = RQ_KEYS) -> Finding:
        return records.prefixes(read_facts(redis_client, keys, rq_keys), snapshot(redis_client, keys, rq_keys))

    assert "neither" in finding().found
    redis_client.sadd("test:queues", "test:queue:default")
    assert "under the prefix test" in finding().found
    plant_queue(redis_client, "default")
    plant_host(redis_client, "worker-1")
    assert finding().state == "ok"
    assert "under the prefix farm" in finding(keys=Keys("test:farm")).found


def test_keys_are_read_as_they_are(redis_client: redis.Redis) -> None:
    plant_queue(redis_client, "default")
    redis_client.set(RQ_KEYS.failed("default"), "x")
    redis_client.hset(RQ_KEYS.job("kept"), "status", "finished")
    redis_client.hset(RQ_KEYS.job("ends"), "status", "finished")
    redis_client.expire(RQ_KEYS.job("ends"), 60)
    redis_client.hset(RQ_KEYS.job("waits"), "status", "queued")
    redis_client.hset(KEYS.mended, mapping={"started": 2, "stump": 0})

    facts = read_facts(redis_client, KEYS, RQ_KEYS)
    redis_client.delete(RQ_KEYS.job("kept"))

    assert facts.wrong_types == [WrongType("rq:failed:default", "zset", "string")]
    assert (facts.jobs_sampled, facts.ended_without_ttl) == (3, 1)
    assert facts.mended == {"started": 2}
    assert abs(facts.clock_difference) < 5
    assert len(facts.pings) == 50


@pytest.fixture
def doctor(redis_url: str):
    """Runs `farm doctor` with arguments."""

    def run(*arguments: str, url: str = redis_url):
        return CliRunner(env={"FARM_REDIS_URL": url}).invoke(command_line, ["doctor", *arguments])

    return run


def findings(output: str) -> dict[str, dict[str, str]]:
    return {finding["check"]: finding for finding in json.loads(output)["findings"]}


def test_each_check_is_a_line(doctor, redis_client: redis.Redis) -> None:
    plant_leader(redis_client)
    plant_host(redis_client, "worker-1")
    plant_queue(redis_client, "default")
    result = doctor()
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert result.exit_code == 0, result.stdout
    assert lines[0] == ["Check", "State", "Found", "Remedy"]
    assert len(lines) == 23
    assert {line[1] for line in lines[1:]} <= {"ok", "warning"}


def test_an_error_is_told_by_the_exit_code(doctor, redis_client: redis.Redis) -> None:
    redis_client.set(RQ_KEYS.queues, "x")
    result = doctor("--json")
    assert result.exit_code == 1
    assert findings(result.stdout)["key types"]["found"] == "rq:queues is a string, not a set"


def plant_leftovers(client: redis.Redis) -> None:
    plant_queue(client, "default")
    record = {"origin": "default", "data": "x", "enqueued_at": "2026-01-02T03:04:05.000000Z"}
    client.hset(RQ_KEYS.job("abandoned"), mapping=record | {"status": "started", "worker_name": "gone"})
    client.hset(RQ_KEYS.job("missing"), mapping=record | {"status": "queued"})
    client.rpush(RQ_KEYS.intermediate("default"), "popped")
    client.hset(RQ_KEYS.job("popped"), mapping=record | {"status": "queued"})
    client.hset(RQ_KEYS.job("stump"), "last_heartbeat", "x")
    client.hset("rq:execution:gone:x", "id", "x")
    client.expire("rq:execution:gone:x", 60)


def test_a_deep_look_names_what_is_left_over_and_mends_nothing(doctor, redis_client: redis.Redis) -> None:
    plant_leftovers(redis_client)
    before = {key: redis_client.dump(key) for key in redis_client.scan_iter()}

    found = findings(doctor("--deep", "--wait", "0.1", "--json").stdout)

    assert {name: finding["found"] for name, finding in found.items() if "among" in finding["found"]} == {
        "started, run by nobody": "1, among them abandoned",
        "queued, in no list": "1, among them missing",
        "popped, never started": "1, among them popped",
        "runs of jobs gone": "1, among them gone",
        "stumps of jobs": "1, among them stump",
    }
    assert {key: redis_client.dump(key) for key in redis_client.scan_iter()} == before


def test_without_a_second_look_what_needs_one_is_unknown(doctor, redis_client: redis.Redis) -> None:
    plant_leftovers(redis_client)

    found = findings(doctor("--deep", "--wait", "0", "--json").stdout)

    assert found["started, run by nobody"]["state"] == "warning"
    assert {found[name]["state"] for name in ("queued, in no list", "popped, never started", "stumps of jobs")} == {
        "unknown"
    }


@pytest.fixture
def strict_user(own_redis: RedisServer) -> str:
    """The address for a user who may do what the farm does with keys, and nothing of an operator's."""
    own_redis.start()
    with connect(own_redis.url) as client:
        client.execute_command(
            "ACL", "SETUSER", "strict", "on", ">word", "~*", "&*", "+@all", "-info", "-config", "-slowlog"
        )
    return own_redis.url.replace("unix://", "unix://strict:word@")


def test_a_redis_that_tells_nothing_stops_nothing(doctor, strict_user: str) -> None:
    result = doctor("--json", url=strict_user)
    found = findings(result.stdout)
    assert result.exit_code == 0, result.output
    assert {found[name]["state"] for name in ("version", "eviction", "slow commands", "stream nodes")} == {"unknown"}
    assert found["key types"]["state"] == "ok"


def test_a_redis_that_drops_keys_is_warned_of(own_redis: RedisServer) -> None:
    own_redis.start()
    with connect(own_redis.url) as client:
        assert eviction_warning(client) is None
        client.config_set("maxmemory-policy", "volatile-lru")
        assert "volatile-lru" in (eviction_warning(client) or "")


def test_whoever_starts_on_a_redis_that_drops_keys_says_so_once(
    own_redis: RedisServer, farm_environment: dict[str, str], tmp_path: Path
) -> None:
    own_redis.start()
    with connect(own_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    environment = farm_environment | {"FARM_REDIS_URL": own_redis.url, "FARM_THRESHOLD": "1", "FARM_PROCESSES": "1"}

    with coordinators(environment, tmp_path) as (coordinator,):
        command = [COMMANDS / "farm", "worker", "--burst"]
        host = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, timeout=60, check=False)
        wait_until(lambda: "maxmemory-policy allkeys-lru" in coordinator.says, "the coordinator says so")

    assert host.returncode == 0, host.stderr
    assert host.stderr.count(b"maxmemory-policy allkeys-lru") == 1
    assert coordinator.says.count("maxmemory-policy allkeys-lru") == 1
