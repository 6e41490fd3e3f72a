"""A Redis that comes back without its last writes, and owners who enqueue a job that runs: no job is forgotten."""

from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()


def test_a_job_whose_outcome_redis_lost_runs_again(farm: Farm) -> None:
    host = farm.host("one")
    job = farm.enqueue("count_and_pause", 0)
    farm.wait_for(job)
    identity = farm.published("one")["identity"]
    # As Redis would come back: the start is known, the outcome is not.
    farm.redis.delete(RQ_KEYS.results(job.id), RQ_KEYS.finished("default"))
    farm.redis.persist(job.key)
    farm.redis.hset(job.key, mapping={"status": "started", "worker_name": "one"})
    farm.redis.hset(KEYS.running("one", identity), job.id, f"{'0' * 32}|default|1|1700000000|rerun|1")

    wait_until(lambda: farm.redis.hget("test:effects", job.id) == b"2", "the job runs again", 30)
    farm.wait_for(job)
    assert "Redis lost outcomes" in host.says
    assert not farm.redis.exists(KEYS.running("one", identity))
    assert farm.published("one")["identity"] == identity


def test_a_job_enqueued_anew_while_it_runs_runs_once_more(farm: Farm) -> None:
    farm.host("one")
    job = farm.queue().enqueue("system_jobs.wait_for_go", job_id="nightly")
    farm.pid_of(job)
    farm.queue().enqueue("system_jobs.count_and_pause", 0, job_id="nightly")
    assert farm.status("nightly") == "queued"

    farm.go()

    wait_until(lambda: farm.redis.hget("test:effects", "nightly"), "the second run")
    farm.wait_for(job)
    assert farm.count("finished") == 2
    assert farm.waiting() == []
