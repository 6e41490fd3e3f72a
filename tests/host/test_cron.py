"""RQ's own cron process beside two coordinators: each tick runs once."""

from datetime import timedelta
from itertools import pairwise

import pytest
from rq.job import Job

from tests.support.farm import COMMANDS, USER_MODULES, Farm, Member
from tests.support.waiting import wait_until

CONFIGURATION = """
from rq import cron
from system_jobs import note

cron.register(note, queue_name="default", args=("tick",), interval=1)
"""


@pytest.mark.slow
def test_each_tick_of_rqs_cron_runs_once(farm: Farm) -> None:
    for _ in range(2):
        farm.coordinator()
    farm.host()
    (farm.folder / "ticks.py").write_text(CONFIGURATION)
    words = ["cron", str(farm.folder / "ticks.py"), "--url", farm.url, "--path", str(USER_MODULES)]
    cron = Member("cron", [str(COMMANDS / "rq"), *words], farm.environment, farm.folder / "cron.log")
    farm.members.append(cron)

    wait_until(lambda: len(farm.notes()) >= 5, "five ticks ran", 20)
    cron.stop()

    wait_until(lambda: not farm.waiting() and farm.count("finished") == len(farm.notes()), "all that it enqueued ran")
    ids = farm.queue().finished_job_registry.get_job_ids()
    ticks = sorted(job.enqueued_at for job in Job.fetch_many(ids, connection=farm.redis) if job and job.enqueued_at)
    assert len(ticks) == len(farm.notes())
    assert all(later - earlier > timedelta(seconds=0.5) for earlier, later in pairwise(ticks))
