"""Jobs and an app for tests of how hosts stop. They note what they clean up in `test:cleaned`."""

import asyncio
import os
import time

from rq import get_current_job

import farm
from farm.store.connection import connect

app = farm.App()


@app.load
def load():
    return 0.1


@app.prewarm
def outer(process):
    yield
    _clean("teardown outer")


@app.prewarm
def raising(process):
    yield
    raise RuntimeError("a teardown that raises")


@app.prewarm
async def inner(process):
    yield
    _clean("teardown inner")
    await asyncio.sleep(600)


def clean_up(callbacks=("first", "raise", "hang", "last")):
    """Runs until it is interrupted; its callbacks are called the last one first."""
    job = farm.current_job()
    for name in callbacks:
        job.add_shutdown_callback({"raise": _raise, "hang": _hang}.get(name) or (lambda name=name: _clean(name)))
    _begin()
    try:
        while True:
            try:
                time.sleep(600)
            except Exception:
                _clean("swallowed")
    finally:
        _clean("finally")


async def clean_up_later():
    farm.current_job().add_shutdown_callback(_clean_async)
    _begin()
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.01)
        _clean("finally")


def refuse():
    """Whatever it is told, it goes on."""
    _begin()
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            _clean("refused")


def end_well():
    """Takes the interruption for the sign to hand in what it has."""
    _begin()
    try:
        time.sleep(600)
    except farm.JobInterrupted:
        return "what there was"


def variables():
    """Names of the variables of a service manager, as a job sees them."""
    return [name for name in os.environ if name.startswith(("NOTIFY", "WATCHDOG"))]


def run_once_until_interrupted():
    """Its second run ends at once and says which attempt it is."""
    if get_current_job().connection.hincrby("test:runs", get_current_job().id, 1) == 1:
        _begin()
        time.sleep(600)
    return farm.current_job().attempt if farm.current_job() else "stock"


def _begin():
    job = get_current_job()
    job.connection.hset("test:begun", job.id, farm.current_job().attempt)


def _raise():
    raise SystemExit("a callback that raises")


def _hang():
    _clean("hang")
    time.sleep(600)


def _clean(text):
    _redis().rpush("test:cleaned", text)


async def _clean_async():
    _clean("async callback")


_connections = []


def _redis():
    """Works at the end of a process too, where no job runs."""
    if not _connections:
        _connections.append(connect(os.environ["FARM_REDIS_URL"]))
    return _connections[0]
