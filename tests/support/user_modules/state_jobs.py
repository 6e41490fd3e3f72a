"""Jobs that both RQ's own workers and a farm run, for `tests/rq_state`. Their effects are lines in `test:effects`."""

import asyncio
import os
import signal
import sys
import threading
import time

from rq import Retry, get_current_job
from rq.job import Job


def add(first, second=1):
    return first + second


def nothing():
    return None


def say(text):
    tell(text)
    return text


def say_slowly(text):
    """Takes so long that no host holds a job back behind it."""
    tell(text)
    time.sleep(0.6)


def fail(text="boom"):
    raise RuntimeError(text)


def fail_until(runs):
    if count_run() <= runs:
        raise RuntimeError("not yet")
    return "at last"


def ask_again(asked, most, interval=0, at_front=False):
    """Returns `Retry` in its first `asked` runs."""
    if count_run() <= asked:
        return Retry(max=most, interval=interval, enqueue_at_front=at_front)
    return "at last"


def exit_interpreter():
    sys.exit(3)


def overstay():
    while True:
        time.sleep(0.01)


def lock():
    return threading.Lock()


async def double(number):
    await asyncio.sleep(0)
    return 2 * number


def wait_for_go():
    """Tells that it runs in `test:running`, and ends when `test:go` exists."""
    job = get_current_job()
    job.connection.set("test:running", os.getpid())
    while not job.connection.exists("test:go"):
        time.sleep(0.02)
    return "went"


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def die_once():
    if count_run() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return "at last"


def change_meta(save):
    job = get_current_job()
    job.meta["seen"] = True
    if save:
        job.save_meta()


def change_fields():
    job = get_current_job()
    job.description = "changed"
    job.result_ttl = 200
    job.timeout = 99


def save_itself():
    job = get_current_job()
    job.description = "saved"
    job.save()


def delete_itself():
    get_current_job().delete()


def lose_retries():
    get_current_job().retries_left = 0
    raise RuntimeError("no more")


def enqueue_another(queue):
    from rq import Queue

    Queue(queue, connection=get_current_job().connection).enqueue("state_jobs.say", "another", job_id="another")


class Calculator:
    def __init__(self, base):
        self.base = base

    def plus(self, number):
        return self.base + number

    @classmethod
    def nine(cls):
        return 9


class LoudJob(Job):
    """A job class with a way of its own to run jobs."""

    def perform(self):
        self.connection.rpush("test:effects", f"{self.id} performs")
        return super().perform()


def on_success(job, connection, result):
    connection.rpush("test:effects", f"success of {job.id}: {result}, {job.get_status(refresh=False)}")


def on_failure(job, connection, kind, error, trace):
    connection.rpush("test:effects", f"failure of {job.id}: {kind.__name__}, {job.get_status(refresh=False)}")


def on_stopped(job, connection):
    connection.rpush("test:effects", f"stopped {job.id}")


def raise_after_success(job, connection, result):
    raise ValueError("the callback failed")


def raise_after_failure(job, connection, kind, error, trace):
    raise ValueError("the callback failed, too")


def raise_after_stop(job, connection):
    connection.rpush("test:effects", f"stopped {job.id}, and raises")
    raise ValueError("the callback failed")


def overstay_after_success(job, connection, result):
    overstay()


def keep_longer(job, connection, result):
    job.result_ttl = 300


def first_handler(job, kind, error, trace):
    job.connection.rpush("test:effects", f"first handler: {job.id} {kind.__name__}")


def last_handler(job, kind, error, trace):
    job.connection.rpush("test:effects", f"last handler: {job.id} {kind.__name__}")
    return False


def never_handler(job, kind, error, trace):
    job.connection.rpush("test:effects", f"never: {job.id}")


def tell(text):
    get_current_job().connection.rpush("test:effects", text)


def count_run():
    return get_current_job().connection.hincrby("test:runs", get_current_job().id, 1)
