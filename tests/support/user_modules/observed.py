"""An app that writes each event of its host to the list `test:events`, and jobs that end their process."""

import dataclasses
import json
import os
import signal
import time
from typing import get_args

import redis

import farm
from farm.app import HostEvent

app = farm.App(threshold=0.5)
app.queue("default", on_lost="fail")
_redis = redis.Redis.from_url(os.environ["FARM_REDIS_URL"])


@app.load
def load():
    time.sleep(float(_redis.get("test:load_seconds") or 0))
    return float(_redis.get("test:load") or 0.1)


@app.prewarm
def warm():
    behaviour = (_redis.get("test:prewarm") or b"").decode()
    if behaviour == "raise":
        raise LookupError("no such model")
    if behaviour == "hang":
        time.sleep(3600)


def write(event):
    fields = dataclasses.asdict(event) | {"at": event.at.isoformat()}
    _redis.rpush("test:events", json.dumps(fields))


for name in get_args(HostEvent):
    app.on(name)(write)


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def leave():
    os._exit(3)


def grow():
    data = b"x" * 400_000_000
    time.sleep(3600)
    return len(data)
