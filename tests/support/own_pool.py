"""A pool of real processes for one app that a test writes, with jobs of plain RQ."""

from pathlib import Path
from typing import Any

import redis
from rq import Queue

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.pool import Pool
from farm_worker.pool.protocol import Initialize
from tests.pool.conftest import Watched, pool_settings, until
from tests.support.child_harness import FENCE
from tests.support.outcomes import packed_hash, value


class OwnPool:
    """A folder with the user's modules, and the pool that runs their jobs."""

    def __init__(self, client: redis.Redis, url: str, folder: Path) -> None:
        self.folder = folder
        self._queue = Queue("default", connection=client)
        self._client = client
        self._url = url
        self.concurrency = 1
        """Coroutine jobs that a process runs side by side. The pool is to be told the same."""

    def write(self, app: str) -> None:
        """The app module; what a job needs of it is imported as `userapp`."""
        (self.folder / "userapp.py").write_text(
            f"import os, sys, threading, time\nimport farm\n\napp = farm.App()\n{app}"
        )

    def pool(self, slots: int = 1, idle: int | None = None, **settings: Any) -> Watched:
        """Not started; use it as a context."""
        watched = Watched()
        watched.pool = Pool(
            pool_settings(**{"start_method": "template", **settings}),
            slots,
            slots if idle is None else idle,
            self._initialize,
            None,
            watched.outcomes.extend,
            lambda *end: watched.ends.append(end),
            watched._changed,
        )
        return watched

    def job(self, function: str, *arguments: object, timeout: float = 180) -> Assignment:
        """A job of the app module."""
        job = self._queue.enqueue(f"userapp.{function}", *arguments, job_timeout=int(timeout))
        packed = packed_hash(self._client.hgetall(job.key) | {b"farm_fence": FENCE})
        return Assignment(job.id.encode(), "0" * 32, "default", 1, "rerun", timeout, packed)

    def _initialize(self, number: int) -> Initialize:
        return Initialize(
            redis_url=self._url,
            rq_prefix="rq",
            host="test",
            process=number,
            path=[str(self.folder)],
            python_path=None,
            app="userapp",
            serializer=None,
            job_class=None,
            result_ttl=500,
            exception_handlers=[],
            log_level="warning",
            async_concurrency=self.concurrency,
        )


async def run(own: OwnPool, watched: Watched, function: str, *arguments: object) -> Any:
    """What the job returned, or the summary of its failure."""
    count = len(watched.outcomes)
    job = own.job(function, *arguments)
    await until(lambda: watched.pool.dispatch(job, depth=1), "a process takes it")
    await until(lambda: len(watched.outcomes) > count, "it is done")
    outcome = watched.outcomes[-1][1]
    return value(outcome) if outcome.kind == "finished" else outcome.summary
