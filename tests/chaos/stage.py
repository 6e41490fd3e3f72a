"""What faults happen to: a private Redis with its data on disk, hosts behind proxies, coordinators."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil
import redis

from farm.keys import Keys, RqKeys
from farm.redis_server import RedisServer
from farm.store.connection import REDIS_ERRORS
from tests.chaos.timeline import Timeline
from tests.support import leaks
from tests.support.farm import Farm, Member
from tests.support.fault_proxy import FaultProxy

KEYS, RQ_KEYS = Keys(), RqKeys()
QUEUES = ("default", "low", "once", "large")
HOSTS = ("one", "two", "three")
LABEL = "large"
LABELLED_HOSTS = ("two", "three")
HOST_TIMEOUT = 4.0
DRAIN_TIMEOUT = 3.0
SHORT, LONG = (0.5, 1.5), (HOST_TIMEOUT + 2.0, HOST_TIMEOUT + 4.0)
"""Seconds of silence: what a farm has to sit out, and what it has to act on."""

Answer = TypeVar("Answer")
END_SECONDS = 30.0
"""How long a host may take to end once asked, on a busy machine."""


class DurableServer(RedisServer):
    """Writes to disk before it answers, unless `everysec`: then its last second may be cut off."""

    everysec = False

    def _write_configuration(self) -> Path:
        path = super()._write_configuration()
        if not self.everysec:
            path.write_text(path.read_text().replace("appendfsync everysec", "appendfsync always"))
        return path

    @property
    def tree(self) -> list[psutil.Process]:
        process = psutil.Process(self.pid)
        return [process, *process.children(recursive=True)]

    def kill(self) -> None:
        """As a power cut of Redis alone: nothing is written that was not written yet."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    @property
    def written(self) -> Path:
        """The file that grows with each write."""
        files = [*self.folder.glob("appendonlydir/*.incr.aof"), *self.folder.glob("appendonly.aof")]
        return max(files, key=lambda path: path.stat().st_mtime)


@dataclass(slots=True)
class HostPlace:
    """A host's name, who bears it, and the way to Redis of all who do."""

    name: str
    proxy: FaultProxy
    member: Member
    disturbed: bool = False
    """A fault is at it."""


class Stage:
    """Starts everything, and ends it without a trace."""

    def __init__(
        self, folder: Path, ledger: Path, processes: int, *, everysec: bool = False, choosy: bool = False
    ) -> None:
        self.folder = folder
        self.timeline = Timeline()
        self.server = DurableServer(folder / "redis")
        self.server.everysec = everysec
        self.redis_disturbed = False
        """A fault is at it: whoever asked it would wait, and the end of the fault with him."""
        self.coordinator_disturbed = False
        self._choosy = choosy
        """Whether the host `one` declines some jobs."""
        self._processes = processes
        self._ledger = ledger
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.server)
            self.url = self.server.url
            self.farm = Farm(self.url, self._environment(), self.folder, [Path(__file__).parent])
            stack.callback(self._end_members)
            self.redis: redis.Redis = self.farm.redis
            self.coordinator = self.farm.coordinator(**self._times)
            proxies = [stack.enter_context(FaultProxy(self.url)) for _ in HOSTS]
            pairs = zip(HOSTS, proxies, strict=True)
            self.hosts = [HostPlace(name, proxy, self.start(name, proxy)) for name, proxy in pairs]
            for host in self.hosts:
                self.farm.wait_for_state(host.name, "available", timeout=60)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def _times(self) -> dict[str, Any]:
        return {"suspect_after": 2, "host_timeout": HOST_TIMEOUT, "drain_timeout": DRAIN_TIMEOUT}

    def start(self, name: str, proxy: FaultProxy) -> Member:
        """A host of this name, without waiting for it."""
        settings = self._times | {"redis_url": proxy.url, "queues": ",".join(QUEUES), "processes": self._processes}
        settings |= {"labels": LABEL} if name in LABELLED_HOSTS else {}
        return self.farm.host(name, ready=False, app="jobs", threshold=1, async_concurrency=4, **settings)

    def restart(self, host: HostPlace) -> None:
        """In place of a member that has ended."""
        self.forget(host.member)
        host.member = self.start(host.name, host.proxy)

    def forget(self, member: Member) -> None:
        """It has ended: its pid may be another's by now."""
        member.process.wait()
        self.farm.members.remove(member)

    def is_served_by(self, host: HostPlace) -> bool:
        """Whether its present member is registered and beats."""
        pid, state = self._ask(lambda: self.redis.hmget(KEYS.host(host.name), "pid", "state"), [None, None])
        return state is not None and pid == str(host.member.pid).encode()

    def start_coordinator(self) -> None:
        self.forget(self.coordinator)
        self.coordinator = self.farm.coordinator(**self._times)

    def pids_of_processes(self, host: HostPlace) -> list[int]:
        """Of the processes that run jobs on this host, as it published them; none while Redis is away."""
        entries = self._ask(lambda: self.redis.hgetall(KEYS.processes(host.name)), {})
        own = {process.pid for process in host.member.tree()}  # what is published may be over, and the pid another's
        return sorted(own & {json.loads(line)["pid"] for field, line in entries.items() if field != b"at"})

    def coordinators(self) -> list[psutil.Process]:
        """All there are, the leader first."""
        found = [process for process in self._descendants() if "farm.coordinator" in _command(process)]
        token = self._ask(lambda: self.redis.get(KEYS.coordinator), None) or b""
        leader = token.rpartition(b"-")[2].decode()
        return sorted(found, key=lambda process: (str(process.pid) != leader, process.pid))

    def template_of(self, host: HostPlace) -> psutil.Process | None:
        """The process that forks the others: the oldest of its kind that is no process of the pool."""
        pool = set(self.pids_of_processes(host))
        found = [one for one in host.member.tree() if "template_child" in _command(one) and one.pid not in pool]
        return min(found, key=lambda process: process.create_time(), default=None)

    @property
    def capacity(self) -> int:
        """Of all hosts, as they publish it."""
        return sum(int(self.farm.published(host.name).get("capacity", 0)) for host in self.hosts)

    def stop(self) -> list[str]:
        """Asks all to end. Returns who did not, or not in order."""
        asked = [*self.farm.members]
        for member in asked:
            member.send(signal.SIGTERM)
        wrong = []
        for member in asked:
            try:
                code = member.wait(END_SECONDS)
            except AssertionError:
                wrong.append(f"{member.name} (pid {member.pid}) did not end within {END_SECONDS:g} s of SIGTERM")
                continue
            self.farm.members.remove(member)
            if code != 0:
                wrong.append(
                    f"{member.name} (pid {member.pid}) was asked to end and said {code}: {member.says[-1500:]}"
                )
        return wrong

    def _ask(self, read: Callable[[], Answer], otherwise: Answer) -> Answer:
        """What Redis says; `otherwise` while it is away, at once where a fault made it so."""
        if not self.redis_disturbed:
            with suppress(*REDIS_ERRORS):
                return read()
        return otherwise

    def _end_members(self) -> None:
        for member in self.farm.members:
            for process in member.tree():
                with suppress(psutil.Error):
                    process.resume()
            member.kill_tree()
        self.farm.members.clear()
        self.farm.redis.close()

    def _descendants(self) -> Iterator[psutil.Process]:
        for member in self.farm.members:
            if member.process.poll() is None:
                yield from member.tree()

    def _environment(self) -> dict[str, str]:
        names = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", leaks.SESSION_MARK)
        kept = {name: os.environ[name] for name in names if name in os.environ}
        own = {"HOME": str(self.folder), "CHAOS_LEDGER": str(self._ledger)}
        return kept | own | ({"CHAOS_CHOOSY_HOST": "one"} if self._choosy else {})


def _command(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""
