"""Loss by the settings that users have: how long it takes, and what is no loss."""

import signal
import time

import pytest
import redis

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm, Member
from tests.support.waiting import wait_out, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

KEYS = Keys()
RQ_KEYS = RqKeys()
HOST_TIMEOUT_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _settled_redis(redis_client: redis.Redis) -> None:
    """Up for longer than a leader waits with giving up hosts once Redis came up."""
    wait_until(
        lambda: redis_client.info("server")["uptime_in_seconds"] > HOST_TIMEOUT_SECONDS,
        "Redis has been up for a while",
        2 * HOST_TIMEOUT_SECONDS,
    )


def two_hosts_and_a_job(farm: Farm, *arguments: object) -> tuple[Member, Member]:
    """The first host runs the job, the second one is idle."""
    first = farm.host("one")
    job = farm.enqueue(*arguments)
    wait_until(lambda: farm.status(job) == "started", "the job runs")
    return first, farm.host("two")


def test_jobs_of_a_killed_host_run_elsewhere_within_12_seconds(farm: Farm) -> None:
    one, _ = two_hosts_and_a_job(farm, "wait_for_go")
    (job_id,) = (member.decode() for member in farm.redis.hkeys("test:pids"))
    before = farm.redis.hget("test:pids", job_id)

    one.kill_tree()
    since = time.monotonic()
    wait_until(lambda: farm.redis.hget("test:pids", job_id) != before, "it runs elsewhere", 20)

    assert time.monotonic() - since <= 12
    farm.go()
    wait_until(lambda: farm.status(job_id) == "finished", "it ended")


def test_a_host_stopped_for_30_seconds_writes_nothing_of_jobs_that_run_elsewhere(farm: Farm) -> None:
    one = farm.host("one", processes=2)
    jobs = [farm.enqueue("count_and_pause", 5) for _ in range(2)]
    wait_until(lambda: farm.redis.hlen("test:effects") == 2, "both jobs run")
    farm.host("two", processes=2)

    one.send(signal.SIGSTOP)  # its processes end their jobs, which nobody can say
    wait_out(30)
    farm.wait_for(*jobs)
    assert {farm.fetch(job).worker_name for job in jobs} == {"two"}
    one.send(signal.SIGCONT)

    wait_until(lambda: farm.count("refused") == 2, "the late outcomes are refused and counted", 20)
    farm.wait_for_state("one", "available")
    wait_until(lambda: farm.events("write.refused"), "they are told")
    assert [farm.redis.xlen(RQ_KEYS.results(job.id)) for job in jobs] == [1, 1]
    assert (farm.count("finished"), farm.count("recovered")) == (2, 2)


def test_a_host_stopped_for_4_seconds_keeps_its_jobs(farm: Farm) -> None:
    one, _ = two_hosts_and_a_job(farm, "count_and_pause", 6)
    identity = farm.published("one")["identity"]

    one.send(signal.SIGSTOP)
    wait_out(4)
    one.send(signal.SIGCONT)

    wait_until(lambda: farm.count("finished") == 1, "the job ended")
    assert (farm.count("recovered"), farm.count("refused")) == (0, 0)
    assert farm.redis.hvals("test:effects") == [b"1"]
    assert farm.published("one")["identity"] == identity


def test_a_name_is_given_anew_only_when_its_stopped_holder_was_given_up(farm: Farm) -> None:
    one, _ = two_hosts_and_a_job(farm, "wait_for_go")
    one.send(signal.SIGSTOP)

    early = farm.host("one", ready=False)
    assert early.wait() == 1
    assert "is alive" in early.says
    wait_until(lambda: farm.events("host.lost"), "the stopped host was given up", 20)
    again = farm.host("one")
    identity = farm.published("one")["identity"]
    farm.go()
    wait_until(lambda: farm.count("finished") == 1, "the job ended", 20)
    one.send(signal.SIGCONT)

    assert one.wait() == 1, "its name is another's"
    assert "is alive" in one.says
    assert (farm.count("finished"), farm.count("recovered")) == (1, 1)
    assert farm.published("one")["identity"] == identity
    assert farm.published("one")["pid"] == str(again.pid)
