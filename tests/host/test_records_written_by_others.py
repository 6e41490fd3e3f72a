"""Owners and jobs write a job's record while it runs: its outcome is recorded all the same."""

import pytest

from tests.support.farm import Farm
from tests.support.waiting import wait_until


@pytest.mark.usefixtures("logs_of_shared_farm")
def test_a_job_that_saves_itself_is_shown_as_started_and_ends(shared_farm: Farm) -> None:
    job = shared_farm.queue().enqueue("self_writing_jobs.save")

    ended = shared_farm.wait_for(job)

    assert ended.return_value() in [("started", "one"), ("started", "two")]
    assert ended.meta == {"saved": True}


@pytest.mark.usefixtures("logs_of_shared_farm")
def test_a_job_that_its_owner_saves_while_it_runs_ends(shared_farm: Farm) -> None:
    shared_farm.redis.delete("test:go")
    job = shared_farm.enqueue("wait_for_go")
    shared_farm.pid_of(job)
    job.meta["noted"] = "late"
    job.save()  # the owner's copy is from before the start, and says `queued`
    shared_farm.go()

    assert shared_farm.wait_for(job).return_value() == "went"
    assert shared_farm.waiting() == []


@pytest.mark.usefixtures("logs_of_shared_farm")
def test_a_time_to_live_that_is_no_whole_number_does_not_end_the_process(shared_farm: Farm) -> None:
    crashed = shared_farm.count("crashed")
    job = shared_farm.queue().enqueue("self_writing_jobs.keep_for", 30.5)

    wait_until(lambda: shared_farm.status(job) == "finished", "it is finished")  # RQ itself cannot read such a record
    assert 0 < shared_farm.redis.ttl(job.key) <= 30
    assert shared_farm.count("crashed") == crashed
