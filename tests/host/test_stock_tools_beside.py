"""RQ's own worker, `rq info` and rq-dashboard work on the same queues as a farm, and no job is harmed.

SECONDS_BESIDE says for how long (default 30).
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from farm.keys import RqKeys
from tests.support.farm import COMMANDS, USER_MODULES, Farm
from tests.support.waiting import wait_until

RQ_KEYS = RqKeys()
SECONDS = float(os.environ.get("SECONDS_BESIDE", "30"))
DASHBOARD = Path(sys.prefix) / "dashboard" / "bin" / "rq-dashboard"
PAGES = ("queues.json", "workers.json", "jobs/default/started/8/asc/1.json", "jobs/default/failed/8/asc/1.json")


@pytest.mark.slow
@pytest.mark.skipif(not DASHBOARD.exists(), reason="rq-dashboard is not here: `make test-all` installs it in the venv")
@pytest.mark.timeout(SECONDS + 180)
def test_no_live_job_is_failed_or_run_twice_by_what_cleans_up_beside_the_farm(farm: Farm) -> None:
    farm.host("one", processes=2)
    farm.host("two", processes=2)
    long = [farm.enqueue("count_and_pause", SECONDS, job_timeout=-1) for _ in range(2)]
    wait_until(lambda: farm.redis.hlen("test:effects") == 2, "two jobs that last until the end run")
    jobs = list(long)
    looked = 0

    with _stock_worker(farm) as worker, _dashboard(farm) as dashboard:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            assert worker.poll() is None
            jobs += farm.enqueue_many("count_and_pause", [(0.02,)] * 50)
            shown = farm.rq("info")
            assert shown.returncode == 0, shown.stderr
            looked += all(_page(dashboard, page) for page in PAGES)
            wait_until(lambda: len(farm.waiting()) < 200, "the queue is served", 60)
        farm.wait_for(*jobs, timeout=60)
        by_stock = int(farm.redis.hget(RQ_KEYS.worker("stock"), "successful_job_count") or 0)

    effects = farm.redis.hgetall("test:effects")
    assert len(effects) == len(jobs)
    assert set(effects.values()) == {b"1"}
    assert looked > 3
    assert 0 < by_stock < len(jobs), "both served the queue"
    assert farm.count("finished") == len(jobs) - by_stock
    assert (farm.count("recovered"), farm.count("refused"), farm.count("crashed")) == (0, 0, 0)
    assert farm.redis.zcard(RQ_KEYS.failed("default")) == 0


@contextmanager
def _stock_worker(farm: Farm) -> Iterator[subprocess.Popen[bytes]]:
    command = [str(COMMANDS / "rq"), "worker", "default", "--url", farm.url, "--path", str(USER_MODULES), "--quiet"]
    with _running(farm, [*command, "--name", "stock"]) as worker:
        wait_until(lambda: farm.redis.exists(RQ_KEYS.worker("stock")), "rq's worker runs", 30)
        yield worker


@contextmanager
def _dashboard(farm: Farm) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/0/data/"
    command = [str(DASHBOARD), "--redis-url", farm.url, "--port", str(port), "--bind", "127.0.0.1"]
    with _running(farm, command):
        wait_until(lambda: _page(address, PAGES[0]), "the dashboard answers", 30)
        yield address


@contextmanager
def _running(farm: Farm, command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    log = farm.folder / f"{Path(command[0]).name}-{len(command)}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=farm.environment, stdout=stream, stderr=stream, cwd=farm.folder)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _page(address: str, name: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(address + name, timeout=20) as answer:
        return bool(answer.status == 200 and answer.read())
    return False
