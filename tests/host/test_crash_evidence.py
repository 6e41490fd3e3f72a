"""What is left to look at when a job ends its process again and again, and how it runs after it has once."""

import json

import pytest
from rq.job import Job

from farm.client import Client
from farm.keys import RqKeys
from tests.support.farm import Farm
from tests.support.waiting import wait_until

RQ_KEYS = RqKeys()

pytestmark = pytest.mark.usefixtures("logs_of_shared_farm")


def enqueue(farm: Farm, function: str) -> Job:
    return farm.queue().enqueue(f"crashing_jobs.{function}")


def numbers(farm: Farm, key: str, job: Job) -> list[int]:
    """What the runs of `die_once` noted."""
    return [int(number) for number in farm.redis.lrange(f"test:{key}:{job.id}", 0, -1)]


def test_a_poisoned_job_shows_each_of_its_crashes_and_starts_anew_when_rq_requeues_it(clean_shared_farm: Farm) -> None:
    farm = clean_shared_farm
    job = enqueue(farm, "say_and_die")
    farm.wait_for(job, status="failed")

    handle = Client(connection=farm.redis).job(job.id)
    ends = handle.evidence()
    assert handle.status().evidence == ends
    assert [end.attempt for end in ends] == [1, 2, 3]
    assert {(end.reason, end.signal) for end in ends} == {("crashed", "SIGKILL")}
    assert {end.host for end in ends} <= {"one", "two"}
    assert all(end.at for end in ends)
    words = [f"last words of attempt {attempt}" for attempt in (1, 2, 3)]
    assert [end.last_lines[-1] for end in ends] == words
    error = farm.error_of(job)
    assert error.startswith("Work-horse terminated unexpectedly; waitpid returned 9 (signal 9)")
    assert [error.count(each) for each in words] == [1, 1, 1]
    shown = farm.command("job", job.id).stdout
    assert [f"end {number}" in shown for number in (1, 2, 3, 4)] == [True, True, True, False]
    kept = json.loads(farm.command("job", job.id, "--json").stdout)["evidence"]
    assert [end["last_lines"][-1] for end in kept] == words

    farm.fetch(job).requeue()
    wait_until(lambda: farm.redis.xlen(RQ_KEYS.results(job.id)) == 2, "it failed once more")
    assert [end.attempt for end in handle.evidence()] == [1, 2, 3]
    assert handle.status().crashes == 3


def test_after_a_crash_a_job_has_a_greater_fence_token_and_a_process_that_no_other_job_gets(
    clean_shared_farm: Farm,
) -> None:
    farm = clean_shared_farm
    crashing = enqueue(farm, "die_once")
    farm.wait_for(crashing)

    first, second = numbers(farm, "fences", crashing)
    assert first < second
    used = numbers(farm, "processes", crashing)[1]
    others = [enqueue(farm, "process_id") for _ in range(12)]
    farm.wait_for(*others)
    assert used not in {farm.fetch(job).return_value() for job in others}
    assert not farm.redis.hexists(RQ_KEYS.job(others[0].id), "farm_crashes")
