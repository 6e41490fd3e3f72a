"""Jobs that only some hosts may have: placed only there, passed over while they fit nowhere, with the reason."""

import json
from typing import Any

import pytest

from farm.client import Client, JobHandle
from farm.keys import Keys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

KEYS = Keys()


def enqueue(farm: Farm, note: str, queue: str = "default", **needs: Any) -> JobHandle[Any]:
    with Client(farm.url) as client:
        return client.queue(queue, **needs).enqueue("system_jobs.note", note)


def wait_for_deferral(farm: Farm, job: JobHandle[Any]) -> str:
    """Why it is deferred, once it is."""

    def reason() -> str:
        shown = json.loads(farm.command("job", job.id, "--json").stdout)
        return str(shown["deferred_reason"]) if shown["status"] == "deferred" else ""

    return wait_until(reason, f"job {job.id} is deferred")


def test_a_job_whose_label_nobody_has_is_deferred_and_runs_soon_after_such_a_host_joins(farm: Farm) -> None:
    farm.host("plain")
    special = enqueue(farm, "special", requires=["gpu"])

    assert wait_for_deferral(farm, special) == "no host has the label gpu"
    status = farm.command("status").stdout
    assert "1 job of queue default (requires gpu) deferred since" in status
    assert "because no host has the label gpu" in status
    listed = json.loads(farm.command("jobs", "--status", "deferred", "--json").stdout)
    assert [(job["id"], job["reason"]) for job in listed["jobs"]] == [(special.id, "no host has the label gpu")]
    assert farm.count("deferred") == 1
    assert farm.waiting() == [special.id], "it stays in its queue"

    others = [enqueue(farm, f"other {number}") for number in range(3)]
    wait_until(lambda: len(farm.notes()) == len(others), "jobs behind it pass it")
    assert farm.notes() == [f"other {number}" for number in range(3)]
    assert farm.waiting() == [special.id]

    farm.host("special", labels="large,gpu")
    wait_until(lambda: "special" in farm.notes(), "it runs soon after such a host takes jobs", 2)
    assert farm.redis.hget(f"rq:job:{special.id}", "worker_name") == b"special"
    wait_until(lambda: not farm.redis.exists(KEYS.aside) or not farm.redis.hgetall(KEYS.aside), "nothing is aside")
    assert [len(farm.events(name)) for name in ("deferral.began", "deferral.ended")] == [1, 1]


def test_jobs_that_were_passed_over_run_in_their_order_and_before_what_came_behind_them(farm: Farm) -> None:
    farm.host("plain")
    passed = [enqueue(farm, f"passed {number}", requires=["gpu"]) for number in range(30)]
    wait_for_deferral(farm, passed[-1])
    farm.host("special", labels="gpu")

    wait_until(lambda: len(farm.notes()) == len(passed), "all have run")
    assert farm.notes() == [f"passed {number}" for number in range(30)]


def test_a_job_needs_as_much_memory_as_it_says(farm: Farm) -> None:
    farm.host("one")
    large = enqueue(farm, "large", memory_mb=10_000_000)
    small = enqueue(farm, "small", memory_mb=1)

    assert "has 10000000 MB left" in wait_for_deferral(farm, large)
    wait_until(farm.notes, "the small one runs")
    assert farm.notes() == ["small"]
    assert farm.status(small.id) == "finished"


@pytest.mark.parametrize("label", ["gpu", ""])
def test_jobs_of_plain_rq_need_what_the_app_says_of_their_queue(farm: Farm, label: str) -> None:
    farm.host("one", app="queue_with_needs", labels=label, queues="default,special", threshold=1)
    special = farm.queue("special").enqueue("system_jobs.note", "special")
    other = farm.enqueue("note", "other")

    farm.wait_for(other)
    if label:
        farm.wait_for(special)
    else:
        shown = json.loads(farm.command("job", special.id, "--json").stdout)
        wait_until(lambda: farm.redis.hexists(KEYS.aside, "special"), "it is told of")
        shown = json.loads(farm.command("job", special.id, "--json").stdout)
        assert (shown["status"], shown["deferred_reason"]) == ("deferred", "no host has the label gpu")
        assert farm.notes() == ["other"]
