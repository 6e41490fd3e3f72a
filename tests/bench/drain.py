"""How fast a backlog of empty jobs is drained: one host of two processes beside RQ's own workers, in turns, in one run.

The rate counts from the first job done to the last, so nobody's start-up counts. Every turn has a fresh Redis with AOF.
RQ's workers get fewer jobs, as their rate does not depend on the number. Printed: jobs per second as median and spread
over the rounds, the ratio to each of RQ's workers round by round, and the CPU time per job of each part of the farm.
Nothing is asserted here: a benchmark is no test.   usage: drain.py [--rounds N] [--jobs N] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import redis
from rq import Queue

from farm.redis_server import RedisServer
from farm.store.connection import connect

HERE = Path(__file__).parent
QUEUE = "default"
PROCESSES = 2
STOCK_SHARE = {"rq worker": 0.05, "rq SimpleWorker": 0.2}
TURN_SECONDS = 300.0


def main() -> None:
    options = _options()
    rates: dict[str, list[float]] = {"farm": [], "rq SimpleWorker": [], "rq worker": []}
    costs: dict[str, list[float]] = {}
    for turn in range(options.rounds):
        print(f"round {turn + 1} of {options.rounds} ...", file=sys.stderr)
        rate, cost = farm_turn(options.jobs)
        rates["farm"].append(rate)
        for role, microseconds in cost.items():
            costs.setdefault(role, []).append(microseconds)
        for name, share in STOCK_SHARE.items():
            rates[name].append(stock_turn(name, max(100, int(options.jobs * share))))
    if options.json:
        print(json.dumps({"jobs_per_second": rates, "cpu_microseconds_per_job": costs}))
    else:
        report(options.jobs, rates, costs)


def farm_turn(jobs: int) -> tuple[float, dict[str, float]]:
    """Jobs per second, and CPU microseconds per job by role."""
    with _server() as url, connect(url) as client, _process([sys.executable, "-P", "-m", "farm_worker"], url) as host:
        _wait(lambda: client.hget("farm:host:bench", "state") == b"available", "the host is available")
        _wait(lambda: client.exists("farm:coordinator") == 1, "a coordinator leads")
        client.set("rq:suspended", 1)
        _enqueue(client, jobs)
        roles = _roles(host, client)
        before = {role: _cpu(processes) for role, processes in roles.items()}
        client.delete("rq:suspended")
        seconds = _drain_seconds(client, jobs)
        cost = {role: (_cpu(processes) - before[role]) / jobs * 1e6 for role, processes in roles.items()}
        return (jobs - 1) / seconds, cost


def stock_turn(name: str, jobs: int) -> float:
    """Jobs per second of one of RQ's own workers."""
    command = [str(Path(sys.executable).parent / "rq"), "worker", "--burst", "--quiet", QUEUE]
    if name == "rq SimpleWorker":
        command += ["--worker-class", "rq.SimpleWorker"]
    with _server() as url, connect(url) as client:
        _enqueue(client, jobs)
        with _process([*command, "--url", url], url):
            return (jobs - 1) / _drain_seconds(client, jobs)


def report(jobs: int, rates: dict[str, list[float]], costs: dict[str, list[float]]) -> None:
    print(f"{jobs} empty jobs, one host of {PROCESSES} processes, Redis with AOF, {os.cpu_count()} CPUs\n")
    print(f"{'jobs/s':<20}{'median':>10}{'min':>10}{'max':>10}{'farm is … times as fast':>28}")
    for name, values in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["farm"], values, strict=True)]
        shown = "" if name == "farm" else f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})"
        print(f"{name:<20}{statistics.median(values):>10.0f}{min(values):>10.0f}{max(values):>10.0f}{shown:>28}")
    print(f"\n{'CPU µs per job':<20}{'median':>10}{'min':>10}{'max':>10}")
    for role, values in costs.items():
        print(f"{role:<20}{statistics.median(values):>10.0f}{min(values):>10.0f}{max(values):>10.0f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


@contextmanager
def _server() -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server:
        yield server.url


@contextmanager
def _process(command: list[str], url: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FARM_")} | {
        "FARM_REDIS_URL": url,
        "FARM_NAME": "bench",
        "FARM_PATH": str(HERE),
        "FARM_PROCESSES": str(PROCESSES),
        # Redis and the stock of jobs run on the same machine: their load is part of what is measured.
        "FARM_THRESHOLD": "1",
        "FARM_LOG_LEVEL": "warning",
        "PYTHONPATH": str(HERE),
    }
    if command[2:3] == ["-m"]:
        del environment["PYTHONPATH"]
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _enqueue(client: redis.Redis, jobs: int) -> None:
    queue = Queue(QUEUE, connection=client)
    for start in range(0, jobs, 1000):
        queue.enqueue_many([Queue.prepare_data("bench_jobs.nothing") for _ in range(min(1000, jobs - start))])


def _drain_seconds(client: redis.Redis, jobs: int) -> float:
    """From the first job done to the last."""
    _wait(lambda: client.zcard(f"rq:finished:{QUEUE}") >= 1, "a job is done", pause=0.0005)
    began, done = time.perf_counter(), int(client.zcard(f"rq:finished:{QUEUE}"))
    _wait(lambda: client.zcard(f"rq:finished:{QUEUE}") >= jobs, f"{jobs} jobs are done", pause=0.005)
    return (time.perf_counter() - began) * (jobs - 1) / max(1, jobs - done)


def _roles(host: subprocess.Popen[bytes], client: redis.Redis) -> dict[str, list[psutil.Process]]:
    parent = psutil.Process(host.pid)
    children = parent.children()
    coordinators = [child for child in children if "farm.coordinator" in child.cmdline()]
    server = psutil.Process(int(client.info("server")["process_id"]))
    return {
        "Redis": [server],
        "coordinator": coordinators,
        "host": [parent],
        "processes": [child for child in children if child not in coordinators],
    }


def _cpu(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(each.user + each.system for each in times)


def _wait(condition: Callable[[], bool], what: str, pause: float = 0.02) -> None:
    deadline = time.monotonic() + TURN_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"gave up after {TURN_SECONDS:g} s waiting until {what}")
        time.sleep(pause)


if __name__ == "__main__":
    main()
