"""Jobs that end without their process: what RQ calls at the end of one is called all the same, and delays none."""

from rq import Callback
from rq.command import send_stop_job_command
from rq.job import Job

from farm.keys import Keys
from tests.support.farm import SHORT_TIMES, START_SECONDS, Farm
from tests.support.waiting import wait_until

KEYS = Keys()


def calls(farm: Farm) -> list[str]:
    """Ids of jobs that were followed up."""
    return [text.decode().split()[0] for text in farm.redis.lrange("test:calls", 0, -1)]


def stopped(farm: Farm, callback: str, timeout: int | None = None) -> Job:
    """A job that ran and was stopped. Its host may be starting."""
    on_stopped = Callback(f"followed_jobs.{callback}", timeout=timeout)
    job = farm.queue().enqueue("followed_jobs.wait", 600, on_stopped=on_stopped)
    wait_until(lambda: farm.redis.get("test:runs"), "it runs", START_SECONDS)
    send_stop_job_command(farm.redis, job.id)
    farm.wait_for(job, status="stopped")
    return job


def test_the_callback_of_a_stopped_job_runs_in_a_process_of_its_host(farm: Farm) -> None:
    host = farm.host("one")

    job = stopped(farm, "tell")

    wait_until(lambda: calls(farm), "it was called")
    assert farm.redis.lrange("test:calls", 0, -1) == [f"{job.id} {host.pid} (600,)".encode()]
    wait_until(lambda: not farm.redis.exists(KEYS.follow_ups), "it is not called again")


def test_a_job_that_was_failed_after_too_many_crashes_tells_its_callback_and_handlers(farm: Farm) -> None:
    farm.host("one", max_crashes=2, exception_handlers="followed_jobs.on_error")

    job = farm.queue().enqueue("followed_jobs.die", on_failure=Callback("followed_jobs.tell"))

    wait_until(lambda: farm.redis.llen("test:handled"), "the handler was called", 20)
    assert calls(farm) == [job.id]
    (said,) = farm.redis.lrange("test:handled", 0, -1)
    assert said.decode().startswith(f"{job.id} AbandonedJobError Work-horse terminated unexpectedly")


def test_a_callback_whose_process_dies_is_called_anew(farm: Farm) -> None:
    farm.host("one")

    job = stopped(farm, "die_the_first_time")

    wait_until(lambda: calls(farm) == [job.id] * 2, "it was called again", 20)
    wait_until(lambda: not farm.redis.exists(KEYS.follow_ups), "it is not called once more")


def test_a_callback_that_ends_each_process_is_given_up(farm: Farm) -> None:
    farm.host("one")

    job = stopped(farm, "tell_and_die")

    wait_until(lambda: farm.events("follow_up.given_up"), "it is given up", 30)
    assert calls(farm) == [job.id] * 3
    assert [event["job"] for event in farm.events("follow_up.given_up")] == [job.id]
    assert not farm.redis.exists(KEYS.follow_ups)


def test_no_job_waits_for_a_callback_that_hangs(farm: Farm) -> None:
    host = farm.host("one")

    job = stopped(farm, "hang", timeout=300)
    wait_until(lambda: calls(farm) == [job.id], "it hangs")

    farm.wait_for(*farm.enqueue_many("add", [(1, 2)] * 10))
    assert host.stop() == 0
    assert farm.redis.zcard(KEYS.follow_ups) == 1, "another host has it called"


def test_a_host_that_ends_by_itself_calls_first(farm: Farm) -> None:
    host = farm.host("one", burst=True, ready=False)

    job = stopped(farm, "tell")

    assert host.wait() == 0
    assert calls(farm) == [job.id]
    assert not farm.redis.exists(KEYS.follow_ups)


def test_a_callback_that_takes_too_long_is_ended(farm: Farm) -> None:
    farm.host("one")

    job = stopped(farm, "hang", timeout=1)

    wait_until(lambda: calls(farm), "it hangs")
    wait_until(lambda: not farm.redis.exists(KEYS.follow_ups), "it is over")
    assert calls(farm) == [job.id]


def test_a_job_lost_with_its_host_tells_its_callback_on_another_one(farm: Farm) -> None:
    on_failure = Callback("followed_jobs.tell")
    job = farm.queue().enqueue("followed_jobs.wait", on_failure=on_failure)
    farm.redis.hset(job.key, "farm_on_lost", "fail")
    one = farm.host("one", **SHORT_TIMES)
    wait_until(lambda: farm.redis.get("test:runs"), "it runs")
    two = farm.host("two", ready=False, **SHORT_TIMES)
    farm.wait_for_state("two", "available")

    one.kill_tree()

    farm.wait_for(job, status="failed", timeout=30)
    wait_until(lambda: calls(farm), "it was called", 20)
    assert farm.redis.lrange("test:calls", 0, -1) == [f"{job.id} {two.pid} ()".encode()]
