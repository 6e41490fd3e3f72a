"""The main job: enqueued by plain rq, placed on hosts, run in their processes, read back by plain rq."""

import json
from datetime import timedelta

import pytest
from rq import Callback, Queue, Repeat, Retry
from rq.job import Job

import farm as library
from farm.keys import Keys, RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()
PUBLISHED = {
    *("state", "reason", "load", "threshold", "cpu", "cpu_count", "memory", "memory_total", "slots", "busy", "idle"),
    *("idle_processes", "jobs"),
    *("own_load", "others_load", "load_source", "memory_left", "sources"),
    *("prefetch", "capacity", "assigned", "queues", "labels", "identity", "pid", "hostname", "boot_id", "version"),
    *("pid_namespace", "started_at", "beat_at", "dequeue_strategy"),
}

pytestmark = pytest.mark.usefixtures("logs_of_shared_farm")


@pytest.fixture
def farm(clean_shared_farm: Farm) -> Farm:
    return clean_shared_farm


def test_two_hundred_jobs_of_two_queues_run_on_two_hosts_and_rq_shows_it(farm: Farm) -> None:
    before = [len(Queue(name, connection=farm.redis).finished_job_registry) for name in ("default", "low")]

    jobs = [farm.queue(name).enqueue("system_jobs.add", n, 1) for n in range(100) for name in ("default", "low")]

    farm.wait_for(*jobs)
    assert [farm.fetch(job).return_value() for job in jobs] == [n + 1 for n in range(100) for _ in range(2)]
    assert {farm.fetch(job).worker_name for job in jobs} == {"one", "two"}
    after = [len(Queue(name, connection=farm.redis).finished_job_registry) for name in ("default", "low")]
    assert [now - then for then, now in zip(before, after, strict=True)] == [100, 100]
    shown = farm.rq("info", "--raw")
    assert shown.returncode == 0, shown.stderr
    assert "queue default 0" in shown.stdout
    assert "queue low 0" in shown.stdout
    assert "worker one " in shown.stdout
    assert "worker two " in shown.stdout


def test_a_host_publishes_every_field_of_the_contract(farm: Farm) -> None:
    wait_until(lambda: farm.published("one")["idle"] == "2", "a beat says that both processes are warm and idle")
    published = farm.published("one")

    assert {name for name in published if not name.startswith("pressure_")} == PUBLISHED  # not every kernel tells
    assert published["state"] == "available"
    assert [published[name] for name in ("slots", "idle", "busy", "jobs")] == ["2", "2", "0", "0"]
    assert published["queues"] == "default,low"
    assert int(published["pid"]) == farm.members[0].pid
    assert int(published["memory_total"]) > int(published["memory"]) > 0
    assert int(published["memory_total"]) > int(published["memory_left"]) >= 0
    assert all(0 <= float(published[name]) <= 1 for name in published if "load" in name and name != "load_source")
    assert published["load_source"] == "app"
    assert json.loads(published["sources"]).keys() >= {"load", "cpu", "cpu_count", "own_load", "memory", "memory_total"}
    assert 0 < farm.redis.ttl(KEYS.host("one")) <= 60


def test_rq_shows_hosts_as_workers_with_their_counts(farm: Farm) -> None:
    from rq import Worker

    farm.wait_for(*farm.enqueue_many("add", [(1, 2)] * 10))

    workers = {worker.name: worker for worker in Worker.all(connection=farm.redis)}
    assert workers.keys() == {"one", "two"}
    assert sum(worker.successful_job_count for worker in workers.values()) >= 10
    assert workers["one"].queue_names() == ["default", "low"]
    assert workers["one"].hostname


def test_a_job_put_at_the_front_runs_before_those_that_wait(farm: Farm) -> None:
    blocking = [farm.enqueue("wait_for_go") for _ in range(3)]
    for job in blocking:
        farm.pid_of(job)
    waiting = farm.enqueue_many("note", [("last", 0.3)] * 3)
    # Jobs were short until now, so some were sent ahead: they come back, in the order that they had on their host.
    wait_until(
        lambda: (
            {farm.published(host)["prefetch"] for host in ("one", "two")} == {"0"}
            and set(farm.waiting()) == {job.id for job in waiting}
        ),
        "all three wait in the queue",
    )
    first = farm.enqueue("note", "first", at_front=True)

    farm.go()

    farm.wait_for(*blocking, *waiting, first)
    assert farm.notes()[:3].count("first") == 1, "three processes begin at about the same time"


def test_options_of_plain_rq_are_kept(farm: Farm) -> None:
    job = farm.enqueue(
        "read_meta", meta={"user": "me"}, result_ttl=77, failure_ttl=88, job_timeout=55, description="mine"
    )

    ended = farm.wait_for(job)

    assert ended.return_value() == {"user": "me"}
    assert (ended.meta, ended.timeout, ended.description) == ({"user": "me"}, 55, "mine")
    assert 60 < farm.redis.ttl(RQ_KEYS.job(job.id)) <= 77
    assert 60 < farm.redis.ttl(RQ_KEYS.results(job.id)) <= 77
    assert ended.started_at is not None
    assert ended.ended_at is not None
    assert ended.enqueued_at is not None
    assert ended.enqueued_at <= ended.started_at <= ended.ended_at


def test_a_failed_job_keeps_its_reason_for_its_failure_ttl(farm: Farm) -> None:
    job = farm.enqueue("fail", "the reason", failure_ttl=88)

    farm.wait_for(job, status="failed")

    assert "RuntimeError: the reason" in farm.error_of(job)
    assert 60 < farm.redis.ttl(RQ_KEYS.job(job.id)) <= 88
    assert job.id in farm.queue().failed_job_registry.get_job_ids()


def test_a_job_without_a_result_ttl_leaves_nothing(farm: Farm) -> None:
    job = farm.enqueue("add", 1, 2, result_ttl=0)
    wait_until(lambda: not farm.redis.exists(RQ_KEYS.job(job.id)), "the job is gone")
    assert not list(farm.redis.scan_iter(match=f"*{job.id}*"))


def test_a_job_of_our_client_gives_its_result(farm: Farm) -> None:
    with library.Client(farm.url) as client:
        handle = client.queue("default", timeout=60).enqueue("system_jobs.add", 2, 3)
        assert handle.result(timeout=20) == 5
        many = client.queue("low").enqueue_many([("system_jobs.add", (n, 1), {}) for n in range(3)])
        assert [one.result(timeout=20) for one in many] == [1, 2, 3]


def test_a_coroutine_function_is_awaited(farm: Farm) -> None:
    assert farm.wait_for(farm.enqueue("double", 21)).return_value() == 42


def test_callbacks_run(farm: Farm) -> None:
    callbacks = {
        "on_success": Callback("system_jobs.on_success"),
        "on_failure": Callback("system_jobs.on_failure"),
    }
    good, bad = farm.enqueue("add", 1, 2, **callbacks), farm.enqueue("fail", **callbacks)

    farm.wait_for(good)
    farm.wait_for(bad, status="failed")

    said = {text.decode() for text in farm.redis.lrange("test:callbacks", 0, -1)}
    assert said == {f"success {good.id} 3", f"failure {bad.id} RuntimeError"}


def test_a_dependent_job_runs_after_the_one_it_waits_for(farm: Farm) -> None:
    first = farm.enqueue("note", "first", 0.3)
    second = farm.enqueue("note", "second", depends_on=first)

    assert farm.status(second) == "deferred"
    farm.wait_for(first, second)
    assert farm.notes() == ["first", "second"]


def test_a_failed_job_is_tried_again_as_often_as_it_asks(farm: Farm) -> None:
    good = farm.enqueue("fail_until", 2, retry=Retry(max=2))
    bad = farm.enqueue("fail_until", 9, retry=Retry(max=2))

    assert farm.wait_for(good).return_value() == "at last"
    farm.wait_for(bad, status="failed")
    assert [int(farm.redis.hget("test:runs", job.id)) for job in (good, bad)] == [3, 3]


def test_a_job_due_later_is_scheduled_and_runs(farm: Farm) -> None:
    job = farm.queue().enqueue_in(timedelta(seconds=1), "system_jobs.add", 1, 2)
    assert farm.status(job) == "scheduled"
    assert farm.wait_for(job).return_value() == 3


def test_a_repeated_job_runs_again(farm: Farm) -> None:
    job = farm.enqueue("count_run", repeat=Repeat(times=2))
    wait_until(lambda: farm.redis.hget("test:runs", job.id) == b"3", "it ran three times")
    wait_until(lambda: Job.fetch(job.id, connection=farm.redis).get_status() == "finished", "it is finished")


def test_a_canceled_job_does_not_run(farm: Farm) -> None:
    blocking = [farm.enqueue("wait_for_go") for _ in range(3)]
    for one in blocking:
        farm.pid_of(one)
    job = farm.enqueue("note", "canceled")
    # It may have been dealt in advance, behind a job that was expected to be short: then it is recalled.
    wait_until(lambda: farm.waiting() == [job.id], "the job waits in its queue")

    job.cancel()
    wait_until(lambda: not _held(farm, job.id), "it was not dealt in that moment, or is recalled")
    farm.go()

    farm.wait_for(*blocking)
    farm.wait_for(farm.enqueue("add", 1, 1))
    assert farm.status(job) == "canceled"
    assert farm.notes() == []


def test_the_status_command_shows_the_farm(farm: Farm) -> None:
    wait_until(lambda: farm.published("one")["busy"] == "0", "a beat says that jobs of tests before are done")
    shown = farm.command("status")
    assert shown.returncode == 0, shown.stderr
    assert "one\tavailable\t0.10/0.75\t0/2" in shown.stdout
    assert farm.command("status", "--check").returncode == 0


def _held(farm: Farm, job_id: str) -> bool:
    """Whether a host has the job, in its inbox or with a lease."""
    inboxes = (farm.redis.lrange(key, 0, -1) for key in farm.redis.scan_iter("farm:host:*:inbox"))
    leases = (farm.redis.hkeys(key) for key in farm.redis.scan_iter("farm:host:*:running"))
    return any(job_id.encode() in ids for ids in (*inboxes, *leases))
