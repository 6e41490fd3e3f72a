"""Jobs that end their own process. What they do is counted in Redis, in keys that begin with `test:`."""

import os
import signal

from rq import get_current_job

import farm


def say_and_die():
    """Prints which attempt this is, and is killed."""
    print(f"last words of attempt {farm.current_job().attempt}", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def die_once():
    """Notes the fence token and the process of each run in `test:fences` and `test:processes`; killed in the first."""
    job = get_current_job()
    job.connection.rpush(f"test:processes:{job.id}", os.getpid())
    runs = job.connection.rpush(f"test:fences:{job.id}", farm.current_job().fence)
    if runs == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return runs


def process_id():
    return os.getpid()
