"""Scenarios of what others do to jobs, and of processes that die."""

import os
import signal

from rq import Callback, Retry, Webhook
from rq.command import send_stop_execution_command, send_stop_job_command
from rq.job import Dependency, Job

from tests.rq_state.scenario import OWN_CLASSES, Stage, scenario
from tests.support.waiting import wait_until


def _stop(stage: Stage, **options: object) -> Job:
    job = stage.enqueue("wait_for_go", **options)
    stage.start()
    stage.wait_until_running()
    send_stop_job_command(stage.redis, job.id)
    stage.settle()
    return job


@scenario(fork=True)
def a_job_is_stopped(stage: Stage) -> None:
    _stop(stage, failure_ttl=100)


@scenario(fork=True)
def a_stopped_job_with_all_that_may_follow(stage: Stage) -> None:
    stage.enqueue("say", "dependent", depends_on=Dependency(jobs=[_pending(stage)], allow_failure=True))
    stage.start()
    stage.wait_until_running()
    send_stop_job_command(stage.redis, "wait_for_go")
    stage.settle()


def _pending(stage: Stage) -> Job:
    return stage.enqueue(
        "wait_for_go",
        retry=Retry(max=2),
        on_stopped=Callback("state_jobs.on_stopped"),
        on_failure=Callback("state_jobs.on_failure"),
        webhooks=[Webhook(f"{stage.webhooks}/failed", "failed")],
    )


@scenario(fork=True)
def a_stopped_callback_raises(stage: Stage) -> None:
    _stop(stage, on_stopped=Callback("state_jobs.raise_after_stop"))


@scenario(fork=True)
def a_stopped_job_is_enqueued_anew(stage: Stage) -> None:
    job = _stop(stage, on_stopped=Callback("state_jobs.on_stopped"))
    stage.redis.delete("test:running")
    stage.go()
    job.refresh()
    job.requeue()
    stage.run()


@scenario(fork=True)
def an_execution_is_stopped(stage: Stage) -> None:
    job = stage.enqueue("wait_for_go", on_stopped=Callback("state_jobs.on_stopped"))
    stage.start()
    stage.wait_until_running()
    execution = wait_until(job.get_executions, "its execution is recorded")[0]
    send_stop_execution_command(stage.redis, job.id, execution.id)
    stage.settle()


@scenario()
def a_waiting_job_is_canceled(stage: Stage) -> None:
    job = stage.enqueue("say", "never", job_id="canceled")
    stage.enqueue("say", "next")
    job.cancel()
    stage.run()


@scenario()
def a_job_with_dependents_is_canceled(stage: Stage) -> None:
    job = stage.enqueue("say", "never", job_id="canceled")
    stage.enqueue("say", "child", job_id="child", depends_on=Dependency(jobs=[job], allow_failure=True))
    job.cancel(enqueue_dependents=True)
    stage.run()


@scenario()
def a_dependent_is_canceled(stage: Stage) -> None:
    job = stage.enqueue("say", "parent", job_id="parent")
    stage.enqueue("say", "child", job_id="child", depends_on=job).cancel()
    stage.run()


@scenario()
def a_running_job_is_canceled(stage: Stage) -> None:
    job = stage.enqueue("wait_for_go")
    stage.enqueue("say", "child", job_id="child", depends_on=job)
    stage.start()
    stage.wait_until_running()
    job.refresh()
    job.cancel()
    stage.go()
    stage.settle()


@scenario()
def a_waiting_job_is_deleted(stage: Stage) -> None:
    stage.enqueue("say", "never", job_id="deleted").delete()
    stage.enqueue("say", "next")
    stage.run()


@scenario()
def a_running_job_is_deleted(stage: Stage) -> None:
    job = stage.enqueue("wait_for_go")
    stage.start()
    stage.wait_until_running()
    job.delete()
    stage.go()
    stage.settle()


@scenario()
def a_failed_job_is_enqueued_anew(stage: Stage) -> None:
    job = stage.enqueue("fail_until", 1)
    stage.run()
    job.refresh()
    job.requeue()
    stage.run()


@scenario()
def a_failed_job_is_enqueued_anew_at_the_front(stage: Stage) -> None:
    job = stage.enqueue("fail_until", 1)
    stage.run()
    stage.enqueue("say", "after")
    job.refresh()
    job.requeue(at_front=True)
    stage.run()


@scenario()
def an_ended_job_is_deleted(stage: Stage) -> None:
    jobs = [stage.enqueue("add", 1), stage.enqueue("fail")]
    stage.run()
    for job in jobs:
        job.refresh()
        job.delete()


@scenario()
def a_queue_is_emptied(stage: Stage) -> None:
    stage.enqueue("add", 1)
    stage.queue.empty()
    stage.run()


@scenario(fork=True)
def a_process_is_killed(stage: Stage) -> None:
    stage.enqueue("wait_for_go", job_id="killed")
    stage.start()
    os.kill(stage.wait_until_running(), signal.SIGKILL)
    stage.go()
    stage.settle()


@scenario(fork=True)
def a_process_is_killed_whose_job_must_not_run_twice(stage: Stage) -> None:
    _die(stage)
    stage.run()


@scenario(OWN_CLASSES, fork=True)
def exception_handlers_of_a_killed_process(stage: Stage) -> None:
    _die(stage)
    stage.run()


def _die(stage: Stage) -> None:
    job = stage.enqueue(
        "die",
        on_failure=Callback("state_jobs.on_failure"),
        on_stopped=Callback("state_jobs.on_stopped"),
        webhooks=[Webhook(f"{stage.webhooks}/failed", "failed")],
    )
    stage.redis.hset(job.key, "farm_on_lost", "fail")
    stage.enqueue("say", "child", depends_on=Dependency(jobs=[job], allow_failure=True))


@scenario(fork=True)
def a_process_dies_and_retries_are_left(stage: Stage) -> None:
    stage.redis.hset(stage.enqueue("die_once", retry=Retry(max=1)).key, "farm_on_lost", "fail")
    stage.run()
