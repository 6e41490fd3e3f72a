"""The two stages: RQ workers that run in bursts, and a farm that stands still while jobs are enqueued."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis
from rq import Queue
from rq.job import Job
from rq.serializers import resolve_serializer

from farm.keys import Keys, RqKeys
from farm.tether import tethered
from tests.rq_state.scenario import PLAIN, Scenario, Variant
from tests.support.farm import USER_MODULES, Farm
from tests.support.waiting import wait_until

KEYS = Keys()
RQ_KEYS = RqKeys()
SETTLE_SECONDS = 30.0
SCENARIO_KEYS = (b"rq:", b"test:", b"farm:quarantine", b"farm:counts")


class EitherStage:
    """What both stages do alike."""

    def __init__(self, client: redis.Redis, webhooks: str) -> None:
        self.redis = client
        self.webhooks = webhooks
        self.variant = PLAIN
        self.fork = False

    @property
    def queue(self) -> Queue:
        serializer = resolve_serializer(self.variant.serializer) if self.variant.serializer else None
        return Queue(self.variant.queue, connection=self.redis, serializer=serializer)

    def enqueue(self, function: str, *arguments: Any, **options: Any) -> Job:
        self.hold()
        options.setdefault("job_id", function.replace(".", "_"))
        return self.queue.enqueue(f"state_jobs.{function}", *arguments, **options)

    def run(self) -> None:
        self.start()
        self.settle()

    def hold(self) -> None:
        """Nothing runs from now on, until `start`."""

    def start(self) -> None:
        raise NotImplementedError

    def settle(self) -> None:
        raise NotImplementedError

    def wait_until_running(self) -> int:
        return int(wait_until(lambda: self.redis.get("test:running"), "the job runs"))

    def go(self) -> None:
        self.redis.set("test:go", 1)

    def play(self, scenario: Scenario) -> None:
        """From an empty Redis to where all is settled."""
        self._clear()
        self.variant, self.fork = scenario.variant, scenario.fork
        scenario.play(self)

    def _clear(self) -> None:
        raise NotImplementedError


class StockStage(EitherStage):
    """Jobs run in RQ's own workers."""

    def __init__(self, client: redis.Redis, url: str, webhooks: str, environment: dict[str, str], log: Path) -> None:
        super().__init__(client, webhooks)
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                tethered([sys.executable, str(Path(__file__).parent / "stock_worker.py"), url, str(USER_MODULES)]),
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                text=True,
            )

    def start(self) -> None:
        variant = self.variant
        order = {
            "queue": variant.queue,
            "fork": self.fork,
            "serializer": variant.serializer,
            "job_class": variant.job_class,
            "exception_handlers": variant.exception_handlers,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def settle(self) -> None:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        assert answer == "done\n", f"the process of RQ's workers ended: {answer!r}"

    def close(self) -> None:
        """Ends its process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def _clear(self) -> None:
        self.redis.flushdb()


class FarmStage(EitherStage):
    """Jobs run on a host."""

    def __init__(self, farm: Farm, webhooks: str) -> None:
        super().__init__(farm.redis, webhooks)
        self._farm = farm
        self._hosts: set[Variant] = set()
        self._is_held = False
        farm.coordinator(leader_ttl=60)
        farm.wait_for_leader()

    def play(self, scenario: Scenario) -> None:
        self.start()
        if scenario.variant not in self._hosts:
            self._start_host(scenario.variant)
        self.settle()
        self.hold()
        super().play(scenario)

    def hold(self) -> None:
        if not self._is_held:
            self.redis.set(RQ_KEYS.suspended, 1)  # Redis itself starts jobs for a host that waits at their queue
            self._send(signal.SIGSTOP)

    def start(self) -> None:
        if self._is_held:
            self.redis.delete(RQ_KEYS.suspended)
            self._send(signal.SIGCONT)

    def settle(self) -> None:
        wait_until(self._is_settled, "nothing is left to run", SETTLE_SECONDS)

    def _start_host(self, variant: Variant) -> None:
        settings = {
            name: value
            for name, value in {
                "serializer": variant.serializer,
                "job_class": variant.job_class,
                "exception_handlers": ",".join(variant.exception_handlers),
            }.items()
            if value
        }
        self._farm.host(f"of-{variant.queue}", queues=variant.queue, standby_coordinator=False, **settings)
        self._hosts.add(variant)

    def _send(self, number: signal.Signals) -> None:
        """To coordinator and hosts. Their processes go on."""
        for member in self._farm.members:
            member.send(number)
        self._is_held = number == signal.SIGSTOP

    def _is_settled(self) -> bool:
        """No job waits, runs, or is on its way: each is in exactly one of these places until it is over."""
        client = self.redis
        hosts = [(name.decode(), identity.decode()) for name, identity in client.hgetall(KEYS.identities).items()]
        with client.pipeline() as pipeline:
            pipeline.zcount(RQ_KEYS.scheduled(self.variant.queue), 0, client.time()[0])
            pipeline.llen(RQ_KEYS.queue(self.variant.queue))
            pipeline.zcard(KEYS.dependents)
            for host in hosts:
                pipeline.llen(KEYS.inbox(*host))
                pipeline.hlen(KEYS.running(*host))
            return not any(pipeline.execute())

    def _clear(self) -> None:
        """All but what the farm itself lives on."""
        for key in self.redis.scan_iter(count=1000):
            if key.startswith(b"rq:worker:"):
                self.redis.hdel(key, "successful_job_count", "failed_job_count", "total_working_time")
            elif key.startswith(SCENARIO_KEYS) and not key.startswith((b"rq:workers", RQ_KEYS.suspended.encode())):
                self.redis.delete(key)
