"""A job that is read when somebody first looks at it."""

from collections.abc import Callable
from typing import Any

import pytest
from rq.job import Job

from farm_worker.pool.unread_job import UnreadJob, read, unread_job


@pytest.mark.parametrize(
    "look",
    [read, lambda job: job.meta, lambda job: setattr(job, "meta", {"colour": "red"}), lambda job: hasattr(job, "none")],
    ids=["read", "get", "set", "ask"],
)
def test_the_first_look_makes_it_an_ordinary_job(look: Callable[[Any], Any]) -> None:
    job = unread_job(lambda: {"meta": {"colour": "red"}})
    assert type(job) is UnreadJob
    look(job)
    assert (type(job), job.meta) == (Job, {"colour": "red"})
