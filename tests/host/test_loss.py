"""What is lost by force: hosts, processes' parents, the coordinator, Redis. No job is lost with it."""

import signal
from pathlib import Path

import pytest

from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from tests.support.effects import runs
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.killed_redis import standing_still
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def test_a_host_killed_with_all_its_processes_loses_no_job(farm: Farm) -> None:
    one = farm.host("one", processes=2, **SHORT_TIMES)
    farm.host("two", **SHORT_TIMES)
    jobs = farm.enqueue_many("count_and_pause", [(0.02,)] * 200)
    wait_until(lambda: farm.count("finished") >= 30, "30 jobs are done")

    one.kill_tree()

    farm.wait_for(*jobs, timeout=40)
    assert farm.count("finished") == 200
    effects = farm.redis.hgetall("test:effects")
    assert len(effects) == 200
    assert sum(map(int, effects.values())) <= 200 + farm.count("recovered"), "only what was given back ran twice"
    assert [event["host"] for event in farm.events("host.lost")] == ["one"]
    assert farm.count("crashed") == 0


@pytest.mark.parametrize("times", [SHORT_TIMES, pytest.param({}, marks=pytest.mark.slow, id="by default")])
def test_what_hosts_do_is_read_from_two_keys_and_a_killed_host_leaves_them_within_12_seconds(
    farm: Farm, times: dict[str, float]
) -> None:
    farm.host("one", app="calm", **times)
    two = farm.host("two", app="calm", **times)
    busy = farm.enqueue("wait_for_go")
    farm.pid_of(busy)

    wait_until(lambda: dict(farm.redis.zrange(KEYS.load, 0, -1, withscores=True)).keys() == {b"one", b"two"}, "loads")
    assert all(load == 0.1 for _, load in farm.redis.zrange(KEYS.load, 0, -1, withscores=True))
    wait_until(
        lambda: sorted(farm.published(name)["busy"] for name in ("one", "two")) == ["0", "1"], "one host shows the job"
    )
    farm.go()
    farm.wait_for(busy)

    two.kill_tree()

    wait_until(
        lambda: farm.redis.zrange(KEYS.load, 0, -1) == [b"one"] and not farm.redis.exists(KEYS.host("two")),
        "the killed host is gone from farm:load and farm:host:two",
        timeout=12,
    )
    assert "two" not in farm.command("status").stdout


def test_a_host_stopped_for_too_long_comes_back_anew_and_no_outcome_counts_twice(farm: Farm) -> None:
    one = farm.host("one", **SHORT_TIMES)
    jobs = [farm.enqueue("count_and_pause", 0.5) for _ in range(4)]
    wait_until(lambda: farm.redis.hlen("test:effects"), "a job runs")
    before = farm.published("one")["identity"]

    one.send(signal.SIGSTOP)  # its process ends the job meanwhile: that outcome comes too late
    farm.host("two", **SHORT_TIMES)
    farm.wait_for(*jobs, timeout=30)
    one.send(signal.SIGCONT)

    farm.wait_for_identity_after(before, timeout=20)
    farm.wait_for_state("one", "available")
    last = farm.enqueue("add", 1, 2)
    assert farm.wait_for(last).return_value() == 3
    assert [farm.redis.xlen(RQ_KEYS.results(job.id)) for job in jobs] == [1] * 4
    assert {farm.fetch(job).worker_name for job in jobs[:1]} == {"two"}
    assert all(int(count) <= 2 for count in farm.redis.hvals("test:effects"))
    assert (farm.count("finished"), farm.count("recovered") > 0) == (5, True)
    wait_until(lambda: "was given up" in one.says, "the host says so")


def test_a_coordinator_that_is_killed_is_replaced_by_a_host(farm: Farm) -> None:
    coordinator = farm.coordinator()
    leader = farm.wait_for_leader()
    farm.host("one")
    jobs = farm.enqueue_many("note", [(str(number), 0.02) for number in range(100)])
    wait_until(lambda: len(farm.notes()) > 10, "jobs run")

    coordinator.send(signal.SIGKILL)

    farm.wait_for(*jobs)
    assert farm.notes() == [str(number) for number in range(100)]
    wait_until(lambda: farm.wait_for_leader() != leader, "another coordinator leads")


def test_jobs_go_on_when_redis_was_restarted(own_farm: Farm, own_redis: RedisServer, effects: Path) -> None:
    own_farm.host("one", processes=2)
    jobs = own_farm.enqueue_many("mark_and_pause", [(0.05, str(effects))] * 80)
    wait_until(lambda: own_farm.count("finished") >= 10, "10 jobs are done")

    own_redis.stop()
    own_redis.start()

    own_farm.wait_for(*jobs, timeout=30)
    assert own_farm.count("finished") == 80
    assert runs(effects) == [1] * 80


def test_nothing_is_lost_while_redis_does_not_answer(own_farm: Farm, own_redis: RedisServer, effects: Path) -> None:
    host = own_farm.host("one", processes=2)
    jobs = own_farm.enqueue_many("mark_and_pause", [(0.05, str(effects))] * 80)
    wait_until(lambda: own_farm.count("finished") >= 10, "10 jobs are done")
    identity = own_farm.published("one")["identity"]

    with standing_still(own_redis):
        wait_until(lambda: "Redis is away" in host.says, "the host notices")

    own_farm.wait_for(*jobs, timeout=30)
    assert own_farm.count("finished") == 80
    assert runs(effects) == [1] * 80
    assert own_farm.published("one")["identity"] == identity


@pytest.mark.slow
def test_a_host_whose_own_name_was_taken_while_it_was_stopped_goes_on_under_another(farm: Farm) -> None:
    first = farm.host(None, ready=False, **SHORT_TIMES)
    (name,) = wait_for_hosts(farm, 1)
    farm.wait_for_state(name, "available")

    first.send(signal.SIGSTOP)
    farm.host("another", **SHORT_TIMES)
    wait_until(lambda: farm.events("host.lost"), "it was given up", 20)
    second = farm.host(None, ready=False, **SHORT_TIMES)
    wait_until(lambda: farm.published(name).get("pid") == str(second.pid), "its name was taken")
    first.send(signal.SIGCONT)

    names = wait_for_hosts(farm, 3)
    (new,) = names - {name, "another"}
    assert new.startswith(name)
    farm.wait_for_state(new, "available")
    assert farm.published(new)["pid"] == str(first.pid)
    wait_until(lambda: "starts over under another name" in first.says, "the host says so")


def wait_for_hosts(farm: Farm, number: int) -> set[str]:
    def found() -> set[str]:
        return {name.decode() for name in farm.redis.hkeys(KEYS.identities)}

    wait_until(lambda: len(found()) == number, f"{number} hosts", 20)
    return found()
