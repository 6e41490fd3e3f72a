"""Scenarios of how jobs come to a queue."""

from datetime import UTC, datetime, timedelta

import pytest
from rq import Queue, RateLimit
from rq.exceptions import DuplicateJobError
from rq.group import Group
from rq.job import Dependency

from tests.rq_state.scenario import Stage, scenario

PAST = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE_AT_A_TIME = {"rate_limit": RateLimit("limit", 1)}
MORE_THAN_A_PAGE = 130
"""Dependents that the farm releases in pages of a hundred."""


@scenario()
def a_job_waits(stage: Stage) -> None:
    stage.enqueue("add", 1, second=2, meta={"user": "me"}, description="mine", job_timeout=50, failure_ttl=100)


@scenario()
def at_the_front(stage: Stage) -> None:
    stage.enqueue("say", "second", job_id="second")
    stage.enqueue("say", "third", job_id="third")
    stage.enqueue("say", "first", job_id="first", at_front=True)
    stage.run()


@scenario()
def unique(stage: Stage) -> None:
    stage.enqueue("add", 1, unique=True)
    with pytest.raises(DuplicateJobError):
        stage.enqueue("add", 2, unique=True)
    stage.run()
    with pytest.raises(DuplicateJobError):
        stage.enqueue("add", 3, unique=True)


@scenario()
def a_dependent(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent", job_id="parent")
    stage.enqueue("say", "child", job_id="child", depends_on=parent)
    stage.run()


@scenario()
def a_dependent_at_the_front(stage: Stage) -> None:
    parent = stage.enqueue("say_slowly", "parent", job_id="parent")
    stage.enqueue("say", "waits", job_id="waits")
    stage.enqueue("say", "child", job_id="child", depends_on=Dependency(jobs=[parent], enqueue_at_front=True))
    stage.run()


@scenario()
def a_dependent_with_ttl_in_another_queue(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent")
    other = Queue("other", connection=stage.redis)
    other.enqueue("state_jobs.say", "child", job_id="child", depends_on=parent, ttl=200)
    stage.run()


@scenario()
def a_dependent_of_two(stage: Stage) -> None:
    parents = [stage.enqueue("say", name, job_id=name) for name in ("one", "two")]
    stage.enqueue("say", "child", job_id="child", depends_on=parents)
    stage.run()


@scenario()
def a_dependent_of_one_that_fails(stage: Stage) -> None:
    stage.enqueue("say", "child", job_id="child", depends_on=stage.enqueue("fail"))
    stage.run()


@scenario()
def a_dependent_of_two_of_which_one_fails(stage: Stage) -> None:
    parents = [stage.enqueue("say", "good"), stage.enqueue("fail")]
    stage.enqueue("say", "child", job_id="child", depends_on=parents)
    stage.run()


@scenario()
def a_dependent_that_allows_failure(stage: Stage) -> None:
    parents = [stage.enqueue("say", "good"), stage.enqueue("fail")]
    stage.enqueue("say", "child", job_id="child", depends_on=Dependency(jobs=parents, allow_failure=True))
    stage.enqueue("say", "strict", job_id="strict", depends_on=parents[0])
    stage.run()


@scenario()
def dependents_in_a_chain(stage: Stage) -> None:
    last = None
    for number in range(4):
        last = stage.enqueue("say", str(number), job_id=f"job-{number}", depends_on=last)
    stage.run()


@scenario()
def more_dependents_than_a_page(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent", job_id="parent")
    for number in range(MORE_THAN_A_PAGE):
        stage.enqueue("nothing", job_id=f"child-{number}", depends_on=parent)
    stage.run()


@scenario()
def a_dependent_of_one_that_is_over(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent", job_id="parent")
    stage.run()
    stage.enqueue("say", "child", job_id="child", depends_on=parent)
    stage.run()


@scenario()
def a_dependent_of_one_that_is_not_kept(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent", job_id="parent", result_ttl=0)
    stage.enqueue("say", "child", job_id="child", depends_on=parent)
    stage.run()


@scenario()
def a_rate_limit(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        stage.enqueue("say", name, job_id=name, **ONE_AT_A_TIME)
    stage.run()


@scenario()
def jobs_wait_for_a_rate_limit(stage: Stage) -> None:
    for name in ("one", "two", "three"):
        stage.enqueue("say", name, job_id=name, **ONE_AT_A_TIME)


@scenario()
def a_rate_limit_with_failures(stage: Stage) -> None:
    stage.enqueue("fail", **ONE_AT_A_TIME)
    stage.enqueue("say", "not kept", job_id="gone", result_ttl=0, **ONE_AT_A_TIME)
    stage.enqueue("add", 1, **ONE_AT_A_TIME)
    stage.run()


@scenario()
def a_dependent_with_a_rate_limit(stage: Stage) -> None:
    parent = stage.enqueue("say", "parent", job_id="parent", **ONE_AT_A_TIME)
    stage.enqueue("say", "child", job_id="child", depends_on=parent, **ONE_AT_A_TIME)
    stage.run()


@scenario()
def a_job_due_later(stage: Stage) -> None:
    stage.queue.enqueue_in(timedelta(seconds=1000), "state_jobs.add", 1, job_id="later")
    stage.run()


@scenario()
def a_job_that_is_due(stage: Stage) -> None:
    stage.queue.enqueue_at(PAST, "state_jobs.add", 1, job_id="due")
    stage.queue.enqueue_at(PAST, "state_jobs.say", "ttl", job_id="with-ttl", ttl=300)
    stage.run()


@scenario()
def many_at_once(stage: Stage) -> None:
    stage.queue.enqueue_many(
        [
            Queue.prepare_data("state_jobs.say", ("one",), job_id="one"),
            Queue.prepare_data("state_jobs.say", ("two",), job_id="two", at_front=True),
            Queue.prepare_data("state_jobs.add", (1,), job_id="three", result_ttl=100),
        ]
    )
    stage.run()


@scenario()
def a_group(stage: Stage) -> None:
    jobs = [Queue.prepare_data("state_jobs.add", (number,), job_id=f"job-{number}") for number in range(3)]
    jobs.append(Queue.prepare_data("state_jobs.add", (4,), job_id="gone", result_ttl=0))
    jobs.append(Queue.prepare_data("state_jobs.fail", (), job_id="failed"))
    Group.create(connection=stage.redis, name="group").enqueue_many(stage.queue, jobs)
    stage.run()


@scenario()
def a_time_to_live(stage: Stage) -> None:
    stage.enqueue("add", 1, ttl=100)
    stage.enqueue("fail", ttl=100)
    stage.run()


@scenario()
def a_job_that_expired_while_it_waited(stage: Stage) -> None:
    stage.redis.delete(stage.enqueue("add", 1).key)
    stage.enqueue("say", "next")
    stage.run()


@scenario()
def a_job_enqueues_another(stage: Stage) -> None:
    stage.enqueue("enqueue_another", "default")
    stage.run()
