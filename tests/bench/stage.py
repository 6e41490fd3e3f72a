"""What every benchmark stands on: a fresh Redis, a host, and the CPU time of each part."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis

from farm.redis_server import RedisServer

HERE = Path(__file__).parent
PROCESSES = 2
TURN_SECONDS = 300.0


@contextmanager
def server() -> Iterator[str]:
    """The address of a Redis of its own, with AOF."""
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as running:
        yield running.url


@contextmanager
def host(url: str, client: redis.Redis, **settings: str) -> Iterator[dict[str, list[psutil.Process]]]:
    """A host that takes jobs, and a coordinator that leads: the processes by role, Redis among them."""
    with process([sys.executable, "-P", "-m", "farm_worker"], url, **settings) as started:
        wait_until(lambda: client.hget("farm:host:bench", "state") == b"available", "the host is available")
        wait_until(lambda: client.exists("farm:coordinator") == 1, "a coordinator leads")
        parent = psutil.Process(started.pid)
        children = parent.children()
        coordinators = [child for child in children if "farm.coordinator" in child.cmdline()]
        yield {
            "Redis": [psutil.Process(int(client.info("server")["process_id"]))],
            "coordinator": coordinators,
            "host": [parent],
            "processes": [child for child in children if child not in coordinators],
        }


@contextmanager
def process(command: list[str], url: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with the farm's settings for a benchmark, and those given; ended at the end."""
    environment = (
        {name: value for name, value in os.environ.items() if not name.startswith("FARM_")}
        | {
            "FARM_REDIS_URL": url,
            "FARM_NAME": "bench",
            "FARM_PATH": str(HERE),
            "FARM_PROCESSES": str(PROCESSES),
            # Redis and RQ's client run on the same machine: their load is part of what is measured.
            "FARM_THRESHOLD": "1",
            "FARM_LOG_LEVEL": "warning",
        }
        | {f"FARM_{name.upper()}": value for name, value in settings.items()}
    )
    if "farm_worker" not in command:
        environment["PYTHONPATH"] = str(HERE)
    started = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.wait(timeout=20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """User and system time of all of them so far."""
    times = [each.cpu_times() for each in processes]
    return sum(each.user + each.system for each in times)


def wait_until(condition: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    """Ends the benchmark when it takes too long."""
    deadline = time.monotonic() + TURN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up after {TURN_SECONDS:g} s waiting until {what}")
        time.sleep(pause)
