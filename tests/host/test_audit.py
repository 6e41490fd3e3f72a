"""A Redis that comes back without its last writes, and owners who enqueue a job that runs: no job is forgotten."""

import psutil
from rq.job import Job

from farm.keys import Keys, RqKeys
from tests.host.test_reserved_queues import wait_for_reserved, wait_for_watched
from tests.support.farm import Farm, Member
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


def test_a_running_job_whose_start_redis_lost_runs_on_if_it_still_waits(farm: Farm) -> None:
    host = _idle_host(farm)
    job = farm.enqueue("wait_for_go")
    pid = farm.pid_of(job)
    wait_until(lambda: f"started {job.id}" in host.says, "the host knows of it")
    _lose_the_start(farm, job)
    farm.redis.lpush(KEYS.inbox("one", farm.published("one")["identity"]), job.id)

    running = KEYS.running("one", farm.published("one")["identity"])
    wait_until(lambda: farm.redis.hexists(running, job.id), "the host holds its lease again", 20)
    farm.go()

    farm.wait_for(job)
    assert farm.pid_of(job) == pid, "it ran once"
    assert (farm.count("finished"), farm.count("refused"), farm.waiting()) == (1, 0, [])
    wait_until(lambda: "1 go on" in host.says, "the host says so")


def test_a_running_job_whose_start_redis_lost_ends_if_it_is_others_by_now(farm: Farm) -> None:
    host = _idle_host(farm)
    job = farm.enqueue("wait_for_go")
    pid = farm.pid_of(job)
    wait_until(lambda: f"started {job.id}" in host.says, "the host knows of it")
    _lose_the_start(farm, job)
    farm.redis.hset(RQ_KEYS.worker("another"), "state", "busy")
    farm.redis.expire(RQ_KEYS.worker("another"), 60)
    farm.redis.hset(job.key, mapping={"status": "started", "worker_name": "another"})

    wait_until(lambda: not psutil.pid_exists(pid), "its process is killed", 20)
    wait_until(lambda: farm.events("process.ended"), "the event")
    (event,) = farm.events("process.ended")
    assert (event["reason"], event["job"]) == ("lease_lost", job.id)
    assert farm.status(job) == "started", "it is the other's"
    wait_until(lambda: "0 go on" in host.says, "the host says so")
    farm.redis.delete(job.key)


def _idle_host(farm: Farm) -> Member:
    """Its process waits for the next job: once that has one, nothing waits for the one after it."""
    host = farm.host("one")
    wait_for_reserved(farm)
    wait_for_watched(farm)
    return host


def _lose_the_start(farm: Farm, job: Job) -> None:
    """Redis as it comes back without the last second: the job was enqueued, and nothing more."""
    farm.redis.hdel(KEYS.running("one", farm.published("one")["identity"]), job.id)
    farm.redis.hset(job.key, mapping={"status": "queued", "worker_name": "", "started_at": ""})
