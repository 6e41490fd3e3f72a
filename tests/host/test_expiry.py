"""A job that must not run twice is over before its host can be given up; any other one runs on."""

import signal
from pathlib import Path

import psutil

from farm.keys import RqKeys
from farm.redis_server import RedisServer
from tests.support.effects import runs, wait_for_runs
from tests.support.farm import SHORT_TIMES, Farm
from tests.support.waiting import wait_until

RQ_KEYS = RqKeys()


def test_a_job_that_must_not_run_twice_ends_when_redis_is_away_and_others_run_on(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    host = own_farm.host("one", processes=2, app="careful_queue", **SHORT_TIMES)
    careful = own_farm.queue("careful").enqueue("system_jobs.mark_and_pause", 60, str(effects))
    other = own_farm.enqueue("mark_and_pause", 8, str(effects))
    wait_for_runs(effects, 2)

    own_redis.stop()
    wait_until(lambda: "must not run twice" in host.says, "one job ended", 10)
    own_redis.start()

    own_farm.wait_for(other, timeout=30)
    wait_until(lambda: own_farm.status(careful) == "failed", "its failure is recorded")
    assert "Redis was out of reach" in own_farm.fetch(careful).latest_result().exc_string
    assert (own_farm.count("finished"), own_farm.count("recovered")) == (1, 0)
    assert runs(effects) == [1] * 2


def test_a_job_that_must_not_run_twice_ends_though_its_host_is_stopped(farm: Farm) -> None:
    host = farm.host("one", on_lost="fail", **SHORT_TIMES)
    job = farm.enqueue("wait_for_go")
    pid = farm.pid_of(job)
    beats = farm.published("one")["beat_at"]
    wait_until(lambda: farm.published("one")["beat_at"] != beats, "the process hears of the lease")

    host.send(signal.SIGSTOP)

    wait_until(lambda: _is_dead(pid), "the job ended by itself", 10)
    farm.host("two", **SHORT_TIMES)
    wait_until(lambda: farm.status(job) == "failed", "the coordinator says so", 20)
    host.send(signal.SIGCONT)
    farm.wait_for_state("one", "available")
    assert farm.status(job) == "failed"
    assert farm.redis.xlen(RQ_KEYS.results(job.id)) == 1


def _is_dead(pid: int) -> bool:
    """Its host is stopped, so nobody takes its exit code."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
