"""Redis is away for longer than HOST_TIMEOUT: jobs run on, and their outcomes are recorded, if need be by others."""

from pathlib import Path

from farm.redis_server import RedisServer
from tests.support.effects import runs, wait_for_runs
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

SHORT = {"suspect_after": 1.5, "host_timeout": 3}


def test_jobs_run_on_while_redis_is_away_and_run_once(own_farm: Farm, own_redis: RedisServer, effects: Path) -> None:
    hosts = [own_farm.host(name, **SHORT) for name in ("one", "two")]
    jobs = own_farm.enqueue_many("mark_and_pause", [(8.0, str(effects))] * 2)
    wait_for_runs(effects, 2)
    identities = [own_farm.published(host.name)["identity"] for host in hosts]

    own_redis.stop()
    wait_out(2 * SHORT["host_timeout"])
    own_redis.start()

    own_farm.wait_for(*jobs, timeout=30)
    assert runs(effects) == [1] * 2
    assert (own_farm.count("finished"), own_farm.count("recovered")) == (2, 0)
    assert [own_farm.published(host.name)["identity"] for host in hosts] == identities


def test_how_a_job_ended_while_redis_was_away_is_recorded_after_the_host_was_killed(
    own_farm: Farm, own_redis: RedisServer, effects: Path
) -> None:
    host = own_farm.host("one")
    job = own_farm.enqueue("mark_and_pause", 1.0, str(effects))
    wait_for_runs(effects, 1)
    own_redis.stop()
    wait_until(lambda: "outcomes are kept in" in host.says, "the job ended")

    host.kill_tree()
    own_redis.start()
    again = own_farm.host("one")

    own_farm.wait_for(job)
    assert runs(effects) == [1]
    assert (own_farm.count("finished"), own_farm.count("recovered")) == (1, 0)
    told = "told Redis how jobs ended on one, which is gone: 1 finished"
    wait_until(lambda: told in again.says, "the host says so")
