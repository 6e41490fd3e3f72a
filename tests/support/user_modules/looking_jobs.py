"""Jobs that look at themselves, change themselves, or go wrong: run the short way and the long way, they end alike."""

import asyncio
import contextvars
import copy
import os
import pickle
import sys
import threading
import time

from rq import Retry, get_current_job
from rq.job import Job

import farm

SECRET = contextvars.ContextVar("secret", default="unset")


def kind_of_record():
    return type(get_current_job()).__name__


def look(*arguments, **named):
    job = get_current_job()
    return {
        "id": job.id,
        "created_at": job.created_at,
        "enqueued_at": job.enqueued_at,
        "func_name": job.func_name,
        "args": job.args,
        "kwargs": job.kwargs,
        "meta": job.meta,
        "description": job.description,
        "status": job._status,
        "worker": job.worker_name,
        "timeout": job.timeout,
        "result_ttl": job.result_ttl,
        "attributes": sorted(vars(job)),
        "kind": type(job).__name__,
        "text": (str(job), repr(job)),
        "environment": os.environ.get("RQ_JOB_ID"),
        "farm": (farm.current_job().id, farm.current_job().attempt, farm.current_job().fence, farm.current_job().queue),
        "got": (arguments, named),
    }


def say_nothing_of_itself():
    return farm.current_job().attempt, farm.current_job().queue, farm.current_job().is_cancelled


def is_cancelled():
    return farm.current_job().is_cancelled


def change():
    job = get_current_job()
    job.result_ttl, job.failure_ttl, job.description = 77, 78, "changed"
    return "done"


def change_by_name_alone():
    setattr(get_current_job(), "description", "set")  # noqa: B010 - without a look before


def change_and_fail():
    get_current_job().description = "changed"
    raise ValueError("no")


def change_its_call():
    get_current_job().args = (1, 2)


def forget_an_attribute():
    job = get_current_job()
    del job.description
    return hasattr(job, "description")


def save_meta():
    job = get_current_job()
    job.meta["colour"] = "blue"
    job.save_meta()


def compare():
    job = get_current_job()
    twin = Job.fetch(job.id, connection=job.connection)
    return job == twin, twin == job, hash(job) == hash(twin), job in {twin}, isinstance(job, Job)


def compare_first():
    """Nothing else has looked before."""
    job = get_current_job()
    return job == Job("x", connection=farm_connection()), Job("x", connection=farm_connection()) == job


def farm_connection():
    import redis

    return redis.Redis()


def hash_first():
    return hash(get_current_job()) == hash(get_current_job().id)


def show_first():
    return repr(get_current_job())


def list_attributes_first():
    return sorted(vars(get_current_job()))


def copy_itself(how):
    job = get_current_job()
    twin = {"copy": copy.copy, "deepcopy": copy.deepcopy, "pickle": lambda one: pickle.loads(pickle.dumps(one))}[how]
    try:
        made = twin(job)
    except TypeError as error:
        return str(error)
    return made.id, made.func_name, type(made).__name__, sorted(vars(made))


def look_from_threads(count):
    job, context, found = get_current_job(), contextvars.copy_context(), []
    gate = threading.Barrier(count)

    def look_there():
        gate.wait()
        found.append((job.id, job.func_name, len(vars(job))))

    threads = [threading.Thread(target=look_there) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    job.description = "seen"
    del context
    return set(found)


def fail(text="boom"):
    raise RuntimeError(text)


def leave(code):
    sys.exit(code)


def interrupt():
    raise KeyboardInterrupt


def claim_to_be_cancelled():
    raise farm.JobCancelled("nobody asked")


def again(*arguments, **named):
    return Retry(*arguments, **named)


async def wait_a_moment():
    await asyncio.sleep(0)
    return get_current_job().id, farm.current_job().id


async def wait_and_fail():
    await asyncio.sleep(0)
    raise RuntimeError("later")


async def leave_a_task():
    asyncio.get_running_loop().create_task(asyncio.sleep(600), name="left")


def generate():
    yield 1


def return_lock():
    return threading.Lock()


class Curious:
    """Looks around while it is stored, and while it is read."""

    def __init__(self, way="look"):
        self.way = way

    def __reduce__(self):
        current = farm.current_job()
        if current is None:  # it is enqueued
            return find, (self.way,)
        seen = get_current_job()
        return tuple, ([("stored", current.id, seen and seen.id, SECRET.get())],)


def find(way):
    if way == "fail":
        raise ValueError("not to be read")
    if way == "slow":
        time.sleep(20)
    if way == "bind":
        SECRET.set("told while it was read")
    current, seen = farm.current_job(), get_current_job()
    return "read", current and current.attempt, seen and seen.id, SECRET.get(), os.environ.get("RQ_JOB_ID")


class Leaving:
    def __reduce__(self):
        sys.exit(3)


def store(what):
    SECRET.set("bound by the job")
    return Leaving() if what == "exit" else Curious()


def give(value):
    return value, SECRET.get()


def bind():
    SECRET.set("bound by another job")


class Box:
    @staticmethod
    def static(value):
        return value

    @staticmethod
    def is_cancelled():
        return is_cancelled()


falsy = type("Falsy", (), {"__bool__": lambda self: False, "__call__": lambda self: "called"})()
no_function = 7


def sleep(seconds):
    time.sleep(seconds)


def tell(steps):
    for step in range(steps):
        farm.current_job().progress(step / steps, "at work")


def call_back():
    def last():
        print("the last word of", farm.current_job().id, get_current_job())

    farm.current_job().add_shutdown_callback(last)


def log_fields():
    farm.current_job().log_fields["customer"] = 7
    print("to be billed")


def note(job, kind, error, _trace):
    """An exception handler."""
    seen = get_current_job()
    job.connection.rpush(
        "test:handled", repr((job.id, kind.__name__, str(error), job.description, seen and seen.id, SECRET.get()))
    )
    return True
