"""How fast a backlog of empty jobs is drained: one host of two processes beside RQ's own workers, in turns.

The rate counts from the first job done to the last, so nobody's start-up counts. Every turn has a fresh Redis with AOF.
RQ's workers get fewer jobs, as their rate does not depend on the number.
"""

import statistics
import sys
import time
from pathlib import Path

import redis
from rq import Queue
from stage import PROCESSES, cpu_seconds, host, process, server, wait_until

from farm.store.connection import connect

QUEUE = "default"
STOCK_SHARE = {"rq SimpleWorker": 0.2, "rq worker": 0.05}

Rates = dict[str, list[float]]


def drain(rounds: int, jobs: int) -> tuple[Rates, Rates]:
    """Jobs per second by worker, and CPU microseconds per job by the farm's roles; a value for each round."""
    rates: Rates = {"farm": []} | {name: [] for name in STOCK_SHARE}
    costs: Rates = {}
    for turn in range(rounds):
        print(f"drain, round {turn + 1} of {rounds} ...", file=sys.stderr)
        rate, cost = _farm_turn(jobs)
        rates["farm"].append(rate)
        for role, microseconds in cost.items():
            costs.setdefault(role, []).append(microseconds)
        for name, share in STOCK_SHARE.items():
            rates[name].append(_stock_turn(name, max(100, int(jobs * share))))
    return rates, costs


def report(jobs: int, rates: Rates, costs: Rates) -> None:
    """Tables of medians and spread; the ratios are of the same round."""
    print(f"{jobs} empty jobs, one host of {PROCESSES} processes\n")
    print(f"{'jobs/s':<20}{'median':>10}{'min':>10}{'max':>10}{'farm is … times as fast':>28}")
    for name, values in rates.items():
        ratios = [ours / theirs for ours, theirs in zip(rates["farm"], values, strict=True)]
        shown = "" if name == "farm" else f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})"
        print(f"{name:<20}{statistics.median(values):>10.0f}{min(values):>10.0f}{max(values):>10.0f}{shown:>28}")
    print(f"\n{'CPU µs per job':<20}{'median':>10}{'min':>10}{'max':>10}")
    for role, values in costs.items():
        print(f"{role:<20}{statistics.median(values):>10.0f}{min(values):>10.0f}{max(values):>10.0f}")


def _farm_turn(jobs: int) -> tuple[float, dict[str, float]]:
    with server() as url, connect(url) as client, host(url, client) as roles:
        client.set("rq:suspended", 1)
        _enqueue(client, jobs)
        before = {role: cpu_seconds(processes) for role, processes in roles.items()}
        client.delete("rq:suspended")
        seconds = _drain_seconds(client, jobs)
        cost = {role: (cpu_seconds(processes) - before[role]) / jobs * 1e6 for role, processes in roles.items()}
        return (jobs - 1) / seconds, cost


def _stock_turn(name: str, jobs: int) -> float:
    command = [str(Path(sys.executable).parent / "rq"), "worker", "--burst", "--quiet"]
    if name == "rq SimpleWorker":
        command += ["--worker-class", "rq.SimpleWorker"]
    with server() as url, connect(url) as client:
        _enqueue(client, jobs)
        with process([*command, "--url", url, QUEUE], url):
            return (jobs - 1) / _drain_seconds(client, jobs)


def _enqueue(client: redis.Redis, jobs: int) -> None:
    queue = Queue(QUEUE, connection=client)
    for start in range(0, jobs, 1000):
        queue.enqueue_many([Queue.prepare_data("bench_jobs.nothing") for _ in range(min(1000, jobs - start))])


def _drain_seconds(client: redis.Redis, jobs: int) -> float:
    """From the first job done to the last."""
    done_key = f"rq:finished:{QUEUE}"
    wait_until(lambda: client.zcard(done_key) >= 1, "a job is done", pause=0.0005)
    began, done = time.perf_counter(), int(client.zcard(done_key))
    wait_until(lambda: client.zcard(done_key) >= jobs, f"{jobs} jobs are done", pause=0.005)
    return (time.perf_counter() - began) * (jobs - 1) / max(1, jobs - done)
