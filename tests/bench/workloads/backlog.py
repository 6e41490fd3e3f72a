"""What a job costs with ever more jobs behind it."""

import time
from dataclasses import dataclass
from typing import Any

import redis
from rq import Queue

from tests.bench.peers.adapter import PROCESSES
from tests.bench.stage import Stage, stage
from tests.bench.systems import System, is_this_project
from tests.bench.workload import Figure, Figures, Scale, Workload

DEPTHS = ("1,000", "30,000", "1,000,000")
QUEUE = "default"
FILL = """
local prefix, first = KEYS[1], tonumber(ARGV[1])
for number = first, first + tonumber(ARGV[2]) - 1 do
  local id = string.format('bench-%09d', number)
  redis.call('HSET', 'rq:job:' .. id, unpack(ARGV, 3))
  redis.call('RPUSH', prefix, id)
end
"""
"""Jobs by one command: a million of them by a client would take minutes. They are one job's hash under many ids."""

PAGE = 500
LEAD_IN = 500
"""Jobs that run before the count begins."""


@dataclass
class Backlog:
    """A queue that is kept at its depth."""

    client: redis.Redis
    depth: int
    fields: list[Any]
    made: int = 0

    def fill(self) -> None:
        """Brings it to its depth. What this costs Redis is the same at each depth."""
        missing = self.depth - int(self.client.llen(f"rq:queue:{QUEUE}"))
        for start in range(0, missing, PAGE):
            count = min(PAGE, missing - start)
            self.client.eval(FILL, 1, f"rq:queue:{QUEUE}", self.made, count, *self.fields)
            self.made += count

    @property
    def finished(self) -> int:
        """Jobs that ended well."""
        return int(self.client.hget(f"farm:counts:{QUEUE}", "finished") or 0)

    def drain(self, count: int, at_work: Stage) -> None:
        """Returns when that many more have finished."""
        wanted = self.finished + count

        def done() -> bool:
            self.fill()
            return self.finished >= wanted

        at_work.wait(done, 300.0, lambda: f"{self.finished} of {wanted} jobs had finished")


def turn(system: System, mode: str, scale: Scale) -> Figures:
    """CPU microseconds per job, and jobs per second, while the queue is kept at its depth."""
    with stage(system, "default", 1) as at_work:
        at_work.warm(PROCESSES)
        backlog = Backlog(at_work.client, int(mode.replace(",", "")), _fields(at_work))
        at_work.hold()
        backlog.fill()
        at_work.let_go()
        backlog.drain(LEAD_IN, at_work)
        before, finished, began = at_work.cpu(), backlog.finished, time.monotonic()
        backlog.drain(scale.drained, at_work)
        after, finished, elapsed = at_work.cpu(), backlog.finished - finished, time.monotonic() - began
        costs = {f"cpu_{role}": 1e6 * (seconds - before[role]) / finished for role, seconds in after.items()}
    return {"jobs_per_second": finished / elapsed, "cpu_all": sum(costs.values())} | costs


def _fields(at_work: Stage) -> list[Any]:
    """The hash of a job as RQ writes it, flat. All mark the same row."""
    job = Queue(QUEUE, connection=at_work.client).enqueue("jobs.nothing", at_work.rows(1))
    fields = at_work.client.hgetall(job.key)
    at_work.wait(lambda: job.is_finished, 20.0, lambda: "the first job had not finished")
    queued = {b"status": b"queued", b"worker_name": b"", b"started_at": b"", b"ended_at": b""}
    return [part for pair in (fields | queued).items() for part in pair]


WORKLOAD = Workload(
    name="backlog",
    title="Empty jobs from a queue that is kept at a depth: CPU µs per job (refilling is part of it, alike for all)",
    figures=(
        Figure("cpu_all", "CPU µs/job: all"),
        Figure("cpu_Redis", "Redis"),
        Figure("cpu_coordinator", "coordinator"),
        Figure("cpu_host", "host"),
        Figure("cpu_processes", "processes"),
        Figure("jobs_per_second", "jobs/s"),
    ),
    turn=turn,
    takes_part=is_this_project,
    modes_of_ours=DEPTHS,
)
