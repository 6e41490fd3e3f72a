"""Jobs for tests of a whole farm. They leave their traces in Redis, in keys that begin with `test:`."""

import asyncio
import hashlib
import itertools
import os
import signal
import threading
import time

from rq import get_current_job

import farm


def add(first, second):
    return first + second


def digest(payload):
    return hashlib.sha256(payload).hexdigest()


def fail(text="boom"):
    raise RuntimeError(text)


def note(text, seconds=0.0):
    """Says in `test:notes` that it began, in the order of beginning."""
    _redis().rpush("test:notes", text)
    time.sleep(seconds)
    return text


def take_turn(number, seconds):
    """Says in `test:turns` when it begins and when it ends."""
    _redis().rpush("test:turns", f"begin {number}")
    time.sleep(seconds)
    _redis().rpush("test:turns", f"end {number}")
    return number


def pause(seconds):
    time.sleep(seconds)
    return seconds


def count_and_pause(seconds):
    """Counts in `test:effects` how often this job took effect."""
    _redis().hincrby("test:effects", get_current_job().id, 1)
    time.sleep(seconds)
    return seconds


def mark_and_pause(seconds, folder):
    """Counts in a file of its own how often this job took effect: it needs no Redis for that."""
    with open(os.path.join(folder, get_current_job().id), "a") as file:
        file.write("x")
    time.sleep(seconds)
    return seconds


def wait_for_go(key="test:go"):
    """Notes its process in `test:pids`, and ends when `key` exists."""
    _redis().hset("test:pids", get_current_job().id, os.getpid())
    while not _redis().exists(key):
        time.sleep(0.02)
    return "went"


def die_until(runs, how="kill"):
    """Ends its own process in its first `runs` runs."""
    if _count_run() > runs:
        return farm.current_job().attempt
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(0)


def die():
    """Ends its own process in each run."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail_until(runs):
    if _count_run() <= runs:
        raise RuntimeError("not yet")
    return "at last"


def mark_time(number, seconds):
    """Says in `test:times` when it began."""
    _redis().hset("test:times", number, time.time())
    time.sleep(seconds)


def count_run():
    return _count_run()


def overstay():
    while True:
        time.sleep(0.01)


def overstay_in_c():
    """A sum without end in C, where Python handles no signal."""
    return sum(itertools.repeat(1))


def lock():
    return threading.Lock()


def process_id():
    return os.getpid()


def read_meta():
    return get_current_job().meta


async def double(number):
    await asyncio.sleep(0.01)
    return 2 * number


def on_success(job, connection, result):
    connection.rpush("test:callbacks", f"success {job.id} {result}")


def on_failure(job, connection, kind, error, trace):
    connection.rpush("test:callbacks", f"failure {job.id} {kind.__name__}")


def _count_run():
    return _redis().hincrby("test:runs", get_current_job().id, 1)


def _redis():
    return get_current_job().connection
