"""Jobs whose process ends before they do, and what is called then. It tells in `test:calls` who it was."""

import os
import signal
import time

from rq import get_current_job


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def tell(job, connection, *_):
    connection.rpush("test:calls", f"{job.id} {os.getppid()} {job.args}")


def tell_and_die(job, connection, *_):
    tell(job, connection)
    os.kill(os.getpid(), signal.SIGKILL)


def die_the_first_time(job, connection, *_):
    tell(job, connection)
    if connection.llen("test:calls") == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def hang(job, connection, *_):
    tell(job, connection)
    time.sleep(600)


def on_error(job, kind, error, trace):
    job.connection.rpush("test:handled", f"{job.id} {kind.__name__} {str(error).splitlines()[0]}")


def wait(seconds=600):
    get_current_job().connection.set("test:runs", 1)
    time.sleep(seconds)
