"""Jobs, callbacks and handlers of a user, run by real processes in the tests."""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

from rq import Retry, get_current_job

import farm


def add(first, second):
    return first + second


def nothing():
    return None


def fail(text="boom"):
    raise RuntimeError(text)


def leave(code=7):
    sys.exit(code)


def interrupt():
    raise KeyboardInterrupt


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no text for you")


def fail_unprintably():
    raise Unprintable


def return_lock():
    return threading.Lock()


def loop_for_ever():
    while True:
        pass


def swallow_and_return(seconds):
    """Overstays, and answers the limit with a result."""
    try:
        time.sleep(seconds)
    except Exception as error:
        return type(error).__name__
    return "in time"


def again(most=2, interval=0, at_front=False):
    return Retry(max=most, interval=interval, enqueue_at_front=at_front)


def describe_self():
    job, process = farm.current_job(), farm.current_process()
    job.process.userdata["seen"] = process.userdata.get("seen", 0) + 1
    return {
        "rq": get_current_job().id,
        "id": job.id,
        "queue": job.queue,
        "attempt": job.attempt,
        "meta": job.meta,
        "host": process.host,
        "seen": process.userdata["seen"],
        "same": job.process is process,
        "RQ_JOB_ID": os.environ["RQ_JOB_ID"],
        "RQ_WORKER_ID": os.environ["RQ_WORKER_ID"],
    }


def userdata(key):
    return farm.current_process().userdata[key]


def environment():
    return dict(os.environ)


def process_id():
    return os.getpid()


def make_a_mess(folder):
    os.chdir(folder)
    os.umask(0)
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.alarm(60)


def surroundings():
    mask = os.umask(0o22)
    os.umask(mask)
    handlers = [signal.getsignal(number) == signal.SIG_DFL for number in (signal.SIGTERM, signal.SIGCHLD)]
    return os.getcwd(), mask, handlers


def change_own_record():
    job = get_current_job()
    job.result_ttl = 77
    job.description = "changed"


def break_own_record():
    get_current_job().enqueued_at = "yesterday"


def save_meta(value):
    job = get_current_job()
    job.meta["value"] = value
    job.save_meta()


def fork_and_return(folder):
    """Both processes come out of here, the worker when the other one is gone."""
    if pid := os.fork():
        os.waitpid(pid, 0)
        return "parent"
    Path(folder, "fork").touch()
    return "fork"


def fork_and_exit(folder):
    if pid := os.fork():
        os.waitpid(pid, 0)
        return "parent"
    Path(folder, "fork").touch()
    sys.exit(3)


def append(path, text):
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


async def double(value):
    await asyncio.sleep(0)
    return 2 * value, farm.current_job().id, get_current_job().id


async def loop_id():
    return id(asyncio.get_running_loop())


async def sleep(seconds):
    await asyncio.sleep(seconds)


async def block():
    while True:
        pass


async def block_in_a_task():
    await asyncio.gather(block())


async def leave_a_task(path):
    async def later():
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            append(path, "cancelled")
            raise

    leave_a_task.task = asyncio.create_task(later())
    await asyncio.sleep(0)


def on_success(job, connection, result):
    append(job.meta["path"], f"success {job.id} {result} {job.get_status(refresh=False).value}")


def on_success_fails(job, connection, result):
    raise ValueError("the callback failed")


def on_success_keeps_longer(job, connection, result):
    job.result_ttl = 99


def on_failure(job, connection, kind, error, trace):
    append(job.meta["path"], f"failure {job.id} {kind.__name__} {error} {trace is not None}")


def on_failure_fails(job, connection, kind, error, trace):
    raise LookupError("the failure callback failed")


def on_failure_hangs(job, connection, kind, error, trace):
    while True:
        pass


def handle_and_stop(job, kind, error, trace):
    append(job.meta["path"], f"first handler {kind.__name__}")
    return False


def handle_and_go_on(job, kind, error, trace):
    append(job.meta["path"], f"second handler {kind.__name__}")


def handler_fails(job, kind, error, trace):
    raise OSError("the handler failed")


class Evil:
    """Says where it is unpickled, by leaving a file."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return _mark, (self.folder,)


def _mark(folder):
    Path(folder, str(os.getpid())).touch()
    return "harmless"


class Exploding:
    """Cannot be unpickled."""

    def __reduce__(self):
        return _explode, ()


def _explode():
    raise RuntimeError("exploded while it was unpickled")


class Exiting:
    """Ends whoever unpickles it."""

    def __reduce__(self):
        return sys.exit, (9,)
