"""The owner of the jobs: enqueues, mostly by plain rq, whatever Redis answers, and remembers what it was told."""

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from rq import Queue, Retry
from rq.job import Job

from farm import Client
from farm.errors import RedisError
from farm.keys import RqKeys
from farm.store.connection import REDIS_ERRORS, connect
from tests.chaos.stage import LABEL, QUEUES

RQ_KEYS = RqKeys()
KEPT_SECONDS = 100_000
TIMEOUT_SECONDS = 120
NEEDS = {"requires", "memory_mb"}
MOST_WAITING = 60
"""No more than that wait at a time: what is enqueued in a run ends with it."""


@dataclass(slots=True)
class Order:
    """One job as its owner knows it."""

    job_id: str
    kind: str
    expected: str
    """Status in the end, if nobody is lost; `gone` for a job that keeps no result."""
    at: float
    """When Redis was asked to accept it, by the monotonic clock."""
    accepted: bool | None = None
    """None: Redis did not say."""
    canceled: bool = False
    """Its owner tried to cancel it."""
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job. `make` draws function, arguments and RQ's options."""

    name: str
    weight: int
    expected: str
    make: Callable[[random.Random], tuple[str, tuple[Any, ...], dict[str, Any]]]
    queue: str = ""
    needs: dict[str, Any] = field(default_factory=dict)
    """What such a job requires of its host, as options of our client; it is enqueued by that, then."""
    choosy: bool = False
    """Only of runs in which a host declines such jobs."""


def _pauses(shortest: float, longest: float, function: str = "pause") -> Callable[[random.Random], Any]:
    return lambda draw: (function, (round(draw.uniform(shortest, longest), 3),), {})


def _fails_and_retries(draw: random.Random) -> Any:
    return "fail_until", (3, 0.05), {"retry": Retry(max=3, interval=draw.choice([0, 1]))}


def _dies(run: int) -> Callable[[random.Random], Any]:
    return lambda draw: ("die_until", (run, draw.choice(["signal", "exit"]), 0.02), {})


def _leaves_no_result(draw: random.Random) -> Any:
    return "pause", (0.02,), {"result_ttl": 0}


KINDS = (
    Kind("short", 40, "finished", _pauses(0.0, 0.03)),
    Kind("middle", 20, "finished", _pauses(0.1, 0.6)),
    Kind("long", 1, "finished", _pauses(4.0, 9.0)),
    Kind("coroutine", 12, "finished", _pauses(0.0, 0.3, "wait")),
    Kind("failing", 5, "failed", _pauses(0.0, 0.05, "fail")),
    Kind("retried", 5, "finished", _fails_and_retries),
    Kind("crashing", 4, "finished", _dies(2)),
    Kind("poisonous", 1, "failed", _dies(1_000_000)),
    Kind("once", 6, "finished", _pauses(0.1, 1.5), queue="once"),
    Kind("parent", 4, "finished", _pauses(0.1, 0.4)),
    Kind("canceled", 3, "canceled", _pauses(0.0, 0.2)),
    Kind("resultless", 2, "gone", _leaves_no_result),
    Kind("labelled", 3, "finished", _pauses(0.0, 0.4), needs={"requires": [LABEL]}),
    Kind("roomy", 3, "finished", _pauses(0.0, 0.4), needs={"memory_mb": 50}),
    Kind("large", 2, "finished", _pauses(0.0, 0.4), queue="large"),
    Kind("choosy", 4, "finished", _pauses(0.0, 0.4), choosy=True),
)


class Owner:
    """Enqueues jobs in a thread of its own until it is told to stop."""

    def __init__(self, url: str, seed: int, *, choosy: bool) -> None:
        self.orders: dict[str, Order] = {}
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._draw = random.Random(f"jobs {seed}")
        self._redis: redis.Redis = connect(url)
        self._client = Client(url)
        self._kinds = [kind for kind in KINDS if choosy or not kind.choosy]
        self._thread = threading.Thread(target=self._run, name="owner", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Raises what went wrong in its thread."""
        self._stop.set()
        self._thread.join(30)
        if self.error is not None:
            raise self.error

    def resolve(self) -> None:
        """Redis is asked what became of orders whose answer was lost."""
        for order in self.orders.values():
            if order.accepted is None and self._redis.exists(RQ_KEYS.job(order.job_id)):
                order.accepted = True

    def enqueue(self, kind: Kind) -> Order:
        """One job of this kind, and what belongs to it."""
        function, arguments, options = kind.make(self._draw)
        queue = kind.queue or self._draw.choice(QUEUES[:2])
        options |= kind.needs
        order = self._enqueue(kind.name, kind.expected, queue, function, arguments, options)
        if kind.name == "parent" and order.accepted:
            parent = Job(order.job_id, connection=self._redis)
            child = {"depends_on": parent}
            self._enqueue("child", "finished", queue, "pause", (0.02,), child, parent=order.job_id)
        elif kind.name == "canceled" and order.accepted:
            self._stop.wait(self._draw.choice([0.0, 0.1]))
            order.canceled = True
            with suppress(*REDIS_ERRORS):
                Job.fetch(order.job_id, connection=self._redis).cancel()
        return order

    def _run(self) -> None:
        weights = [kind.weight for kind in self._kinds]
        try:
            while not self._stop.is_set():
                if self._is_enough_waiting():
                    self._stop.wait(0.05)
                    continue
                self.enqueue(self._draw.choices(self._kinds, weights)[0])
        except BaseException as error:
            self.error = error

    def _is_enough_waiting(self) -> bool:
        try:
            return sum(self._redis.llen(RQ_KEYS.queue(queue)) for queue in QUEUES) >= MOST_WAITING
        except REDIS_ERRORS:
            return True

    def _enqueue(
        self,
        kind: str,
        expected: str,
        queue: str,
        function: str,
        arguments: Any,
        options: dict[str, Any],
        parent: str = "",
    ) -> Order:
        order = Order(f"{kind}-{len(self.orders)}", kind, expected, time.monotonic(), parent=parent)
        self.orders[order.job_id] = order
        kept = {"result_ttl": KEPT_SECONDS, "failure_ttl": KEPT_SECONDS, "job_id": order.job_id} | options
        call = f"jobs.{function}"
        try:
            if kept.keys() & NEEDS:
                self._client.queue(queue, timeout=TIMEOUT_SECONDS, **kept).enqueue(call, *arguments)
            else:
                Queue(queue, connection=self._redis).enqueue(call, *arguments, job_timeout=TIMEOUT_SECONDS, **kept)
            order.accepted = True
        except (*REDIS_ERRORS, RedisError):
            self._stop.wait(0.1)
        return order
