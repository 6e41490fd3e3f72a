"""What a turn stands on: a fresh Redis, the workers of one system, and its producer in its own environment."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import redis

from farm.redis_server import RedisServer
from farm.store.connection import connect
from tests.bench import processes
from tests.bench.peers.marks import VARIABLE, Marks
from tests.bench.systems import PEERS, System, Unavailable, describe

WAIT_SECONDS = 120.0
ANSWER_SECONDS = 300.0
POLL_SECONDS = 0.1
"""Who looks more often takes from the CPU that jobs are to have: what counts is in the marks, to the nanosecond."""
WARM_FIRST, WARM_COUNT = 0, 64
"""Rows of the marks that are for warming up. A workload's own jobs come after them."""
WARM_NAP_SECONDS = 0.05


class TurnFailed(Exception):
    """A turn could not be measured: the text says why."""


class Stage:
    """One system at work on a Redis of its own."""

    def __init__(self, system: System, url: str, client: redis.Redis, marks: Marks) -> None:
        self.system = system
        self.url = url
        self.client = client
        self.marks = marks
        self.roots: list[subprocess.Popen[bytes]] = []
        self.producer: subprocess.Popen[str] | None = None
        self._used = WARM_COUNT

    @property
    def workers(self) -> list[psutil.Process]:
        """All processes of the system but its producer and Redis."""
        return [process for root in self.roots for process in processes.tree(root.pid)]

    @property
    def redis(self) -> list[psutil.Process]:
        """Redis."""
        return [psutil.Process(int(self.client.info("server")["process_id"]))]

    @property
    def roles(self) -> dict[str, list[psutil.Process]]:
        """Processes by what they do."""
        if not self.system.ours or not self.roots:
            return {"Redis": self.redis, "workers": self.workers}
        parent, *children = processes.tree(self.roots[0].pid)
        coordinators = [child for child in children if "farm.coordinator" in child.cmdline()]
        others = [child for child in children if child not in coordinators]
        return {"Redis": self.redis, "coordinator": coordinators, "host": [parent], "processes": others}

    def rows(self, count: int) -> int:
        """The first of `count` numbers for jobs that no other job has."""
        self._used += count
        return self._used - count

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Has the producer do something. Raises TurnFailed."""
        producer = self.producer
        assert producer is not None
        assert producer.stdin is not None
        assert producer.stdout is not None
        watchdog = threading.Timer(ANSWER_SECONDS, producer.kill)
        watchdog.start()
        try:
            producer.stdin.write(json.dumps({"do": do} | request) + "\n")
            producer.stdin.flush()
            line = producer.stdout.readline()
        except OSError as error:
            raise TurnFailed(f"its producer ended: {error}") from error
        finally:
            watchdog.cancel()
        if not line:
            raise TurnFailed(f"its producer ended, or did not answer within {ANSWER_SECONDS:g} s")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise TurnFailed(str(answer["error"]))
        return answer

    def warm(self, at_a_time: int) -> None:
        """Returns when that many processes, or so many jobs at a time, have done jobs."""
        for first in range(WARM_FIRST, WARM_COUNT - 2 * at_a_time + 1, 2 * at_a_time):
            self.ask("many", job="nap", first=first, count=2 * at_a_time, arguments=[WARM_NAP_SECONDS])
            self.until_done(first, 2 * at_a_time)
            if len({self.marks.row(index)[2] for index in range(first, first + 2 * at_a_time)}) > 1:
                return

    def until_done(self, first: int, count: int, seconds: float = WAIT_SECONDS) -> None:
        """Returns when each of these jobs has marked its row. Raises TurnFailed."""
        self.wait(lambda: self.marks.all_done(first, count), seconds, lambda: self._still_missing(first, count))

    def wait(self, condition: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
        """Returns when the condition holds. Raises TurnFailed after so long, or when workers end."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [root.returncode for root in self.roots if root.poll() is not None]
            if ended:
                raise TurnFailed(f"a worker ended with exit code {ended[0]}")
            if time.monotonic() > deadline:
                raise TurnFailed(f"{what()} after {seconds:g} s")
            time.sleep(POLL_SECONDS)

    def hold(self) -> None:
        """Stops all workers in their tracks: ours by RQ's own switch, as a host that is stopped loses its lease."""
        if self.system.ours:
            self.client.set("rq:suspended", 1)
        else:
            processes.stop(self.workers)

    def let_go(self) -> None:
        """Has them go on."""
        if self.system.ours:
            self.client.delete("rq:suspended")
        else:
            processes.go_on(self.workers)

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by role."""
        return {role: processes.cpu_seconds(found) for role, found in self.roles.items()}

    def cpu_since(self, before: Mapping[str, float]) -> dict[str, float]:
        """CPU seconds since, by role, once the workers have come to rest."""
        self._until_at_rest()
        return {role: seconds - before.get(role, 0.0) for role, seconds in self.cpu().items()}

    def _until_at_rest(self) -> None:
        """What follows a job (its result, its acknowledgement) is part of its cost."""
        deadline, last = time.monotonic() + 2.0, -1.0
        while time.monotonic() < deadline:
            now = processes.cpu_seconds(self.workers)
            if now - last <= 0.01:
                return
            last = now
            time.sleep(0.1)

    def _still_missing(self, first: int, count: int) -> str:
        return f"{self.marks.number_done(first, count)} of {count} jobs were done"


@contextmanager
def stage(
    system: System, mode: str, rows: int, *, commands: Sequence[list[str]] | None = None, **more: str
) -> Iterator[Stage]:
    """A system with its workers (or with `commands` in their place) and its producer; marks for `rows` jobs.

    `more` is environment of the workers. Raises TurnFailed.
    """
    try:
        described = describe(system)[mode][1]
    except Unavailable as error:
        raise TurnFailed(str(error)) from error
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        RedisServer(Path(folder) / "redis", tcp=True) as server,
        connect(server.url) as client,
    ):
        path = Path(folder) / "marks"
        marks = Marks.create(path, rows + WARM_COUNT)
        environment = _environment(system, mode, server.url, path)
        at_work = Stage(system, server.url, client, marks)
        try:
            with (Path(folder) / "log").open("w+b") as log:
                at_work.producer = _start_producer(system, environment)
                at_work.roots += [
                    _start(_at(each, server.url), environment | more, log)
                    for each in (described if commands is None else commands)
                ]
                try:
                    yield at_work
                except TurnFailed as error:
                    raise TurnFailed(f"{error}{_last_line(Path(folder) / 'log')}") from error
        finally:
            if not system.ours:
                at_work.let_go()
            found = [processes.tree(root.pid) for root in at_work.roots]
            for each in found:
                processes.end(each)
            for root in at_work.roots:
                root.wait()
            if at_work.producer is not None:
                at_work.producer.kill()
                at_work.producer.communicate()
            marks.close()


def _environment(system: System, mode: str, url: str, marks: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FARM_", "RQ_", "BENCH_"))}
    return kept | {
        "BENCH_REDIS": url,
        "BENCH_MODE": mode,
        "BENCH_KIND": system.kind,
        "FARM_REDIS_URL": url,
        VARIABLE: str(marks),
        "PYTHONPATH": str(PEERS),
    }


def _at(command: list[str], url: str) -> list[str]:
    """The command with the address of this turn's Redis in place of the one that adapters assume."""
    return [url if part.startswith("redis://") else part for part in command]


def _start(command: list[str], environment: dict[str, str], log: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=PEERS, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )


def _start_producer(system: System, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [system.python, str(PEERS / "producer.py"), system.adapter],
        cwd=PEERS,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=sys.stderr if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
        text=True,
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"; last said: {lines[-1][:200]}" if lines else ""
