"""A pool on a loop of the test's own, with processes that speak the protocol and obey."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue

from farm_settings import PoolSettings
from farm_worker.pool import spawn, starter
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.pool import Pool
from farm_worker.pool.protocol import Initialize, Ready
from farm_worker.pool.reasons import ProcessEnd
from tests.support import leaks
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import packed_hash

SUPPORT = Path(__file__).parents[1] / "support"
_job_numbers = itertools.count(1)


@pytest.fixture
def child(redis_url: str) -> Iterator[ChildHarness]:
    """A warm process without an app."""
    with ChildHarness(redis_url, path=[USER_MODULES]) as harness:
        harness.receive(Ready)
        yield harness


@pytest.fixture
def used_child(redis_url: str, used_children: "UsedChildren") -> Iterator[ChildHarness]:
    """A warm process without an app that ran jobs of other tests before, as those of a pool did."""
    harness = used_children.take(redis_url)
    yield harness
    used_children.put_back(harness)


@pytest.fixture(scope="module")
def used_children() -> Iterator["UsedChildren"]:
    children = UsedChildren()
    yield children
    children.end()


@pytest.fixture
def queue(redis_client: redis.Redis) -> Queue:
    return Queue("default", connection=redis_client)


@pytest.fixture
def obedient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes run tests/support/protocol_child.py in place of ours."""
    monkeypatch.setattr(starter, "CHILD_MODULE", "protocol_child")
    monkeypatch.setattr(spawn, "_folders_to_append", lambda: (str(SUPPORT),))


class UsedChildren:
    """At most one process that waits for the jobs of the next test."""

    def __init__(self) -> None:
        self._waiting: ChildHarness | None = None

    def take(self, redis_url: str) -> ChildHarness:
        """The one that waits, or a new one."""
        harness, self._waiting = self._waiting, None
        if harness is None:
            harness = ChildHarness(redis_url, path=[USER_MODULES])
            leaks.shared_pids.add(harness.process.pid)
            harness.receive(Ready)
        return harness

    def put_back(self, harness: ChildHarness) -> None:
        """Keeps it for the next test, unless it ended or has something left to say."""
        self._waiting = harness
        if harness.at_rest:
            harness.said.clear()
        else:
            self.end()

    def end(self) -> None:
        harness, self._waiting = self._waiting, None
        if harness is not None:
            harness.__exit__()
            leaks.shared_pids.discard(harness.process.pid)


def initialize(number: int, app: str | None = None) -> Initialize:
    return Initialize(
        redis_url="redis://127.0.0.1:1/0",
        rq_prefix="rq",
        host="test",
        process=number,
        path=[],
        python_path=None,
        app=app,
        serializer=None,
        job_class=None,
        result_ttl=500,
        exception_handlers=[],
        log_level="warning",
    )


def job(do: str = "", value: object = "", data: bytes = b"", timeout: float | None = None) -> Assignment:
    number = next(_job_numbers)
    packed = packed_hash({b"do": do.encode(), b"value": str(value).encode(), b"data": data})
    return Assignment(b"job-%d" % number, "0" * 32, "default", 1, "rerun", timeout, packed)


def pool_settings(**settings: Any) -> PoolSettings:
    """Processes are spawned unless a test says otherwise: most tests are about one process."""
    return PoolSettings(**{"start_method": "spawn", **settings})


@dataclass
class Watched:
    """A pool and all that it reported."""

    app: str | None = None
    outcomes: list[tuple[Assignment, Outcome]] = field(default_factory=list)
    ends: list[tuple[ProcessEnd, Assignment | None, list[Assignment]]] = field(default_factory=list)
    changes: int = 0
    pool: Pool = field(init=False)

    @classmethod
    def of(cls, slots: int = 1, idle: int | None = None, app: str | None = None, **settings: object) -> "Watched":
        watched = cls(app)
        watched.pool = Pool(
            pool_settings(**settings),
            slots,
            slots if idle is None else idle,
            lambda number: initialize(number, watched.app),
            None,
            watched.outcomes.extend,
            lambda *end: watched.ends.append(end),
            watched._changed,
        )
        return watched

    def _changed(self) -> None:
        self.changes += 1

    async def __aenter__(self) -> "Watched":
        self.pool.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.pool.close(timeout=0.0)

    def done(self) -> list[bytes]:
        return [assignment.job_id for assignment, _ in self.outcomes]

    def pids(self) -> set[int]:
        return {handle.pid for handle in self.pool.processes}


async def until(predicate: Callable[[], object], description: str, timeout: float = 20.0) -> None:
    """Like `wait_until`, while the loop runs."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not predicate():
        assert asyncio.get_running_loop().time() < deadline, f"after {timeout:g} s still not true: {description}"
        await asyncio.sleep(0.005)


async def ready(watched: Watched, count: int = 1) -> None:
    await until(lambda: watched.pool.ready >= count, f"{count} processes are ready")
