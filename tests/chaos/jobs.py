"""The app and the jobs of a chaos run. Each run of a job says in the ledger that it began, and how it ended.

The ledger is a file that is only appended to: no fault reaches it. Hosts load this as a user's module.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import farm

app = farm.App()
app.queue("once", on_lost="fail")
app.queue("large", requires=["large"])


@app.load
def load():
    """Other programs use this machine, too: the load is not the subject."""
    return 0.1


if "CHAOS_CHOOSY_HOST" in os.environ:

    @app.accept
    def accept(job):
        """Not these ones, not here."""
        is_here = os.environ["FARM_NAME"] == os.environ["CHAOS_CHOOSY_HOST"]
        return "not here" if is_here and job.id.startswith("choosy-") else True


def pause(seconds):
    with _noted():
        time.sleep(seconds)
    return seconds


async def wait(seconds):
    with _noted():
        await asyncio.sleep(seconds)
    return seconds


def fail(seconds):
    with _noted():
        time.sleep(seconds)
        raise RuntimeError("failed on purpose")


def fail_until(run, seconds):
    """Fails in each run before this one, the first being 1."""
    with _noted() as number:
        time.sleep(seconds)
        if number < run:
            raise RuntimeError(f"failed on purpose in run {number}")
    return number


def die_until(run, how, seconds):
    """Ends its process in each run before this one: by signal or by exit."""
    with _noted() as number:
        time.sleep(seconds)
        if number < run:
            _note("crashed", number)
            if how == "signal":
                os.kill(os.getpid(), signal.SIGKILL)
            os._exit(3)
    return number


@contextmanager
def _noted() -> Iterator[int]:
    number = _next_run()
    _note("begun", number)
    try:
        yield number
    except RuntimeError:
        _note("raised", number)
        raise
    _note("ended", number)


def _next_run() -> int:
    """Which run of this job it is, over all hosts: each adds a byte to a file."""
    path = os.path.join(os.environ["CHAOS_LEDGER"], "runs", farm.current_job().id)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, b"x")
        return os.fstat(file).st_size
    finally:
        os.close(file)


def _note(what: str, number: int) -> None:
    job = farm.current_job()
    fields = (what, repr(time.monotonic()), job.id, number, job.attempt, job.fence, job.process.host, os.getpid())
    file = os.open(os.path.join(os.environ["CHAOS_LEDGER"], "ledger"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, ("\t".join(map(str, fields)) + "\n").encode())
    finally:
        os.close(file)
