"""Keeps the children of `farm up` running, and ends them in order: hosts, then the coordinator, then Redis."""

import selectors
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from farm.errors import RedisServerError
from farm.redis_server import RedisServer
from farm.up.child import STABLE_AFTER_SECONDS, Child, describe_exit, pause_before_restart
from farm.up.sources import Sources
from farm.up.terminal import Terminal

TICK_SECONDS = 1.0
KILL_AFTER_SECONDS = 5.0
"""From the second request to end, or from the request to the coordinator, until what still runs is killed."""

NAME = "up"
"""What `farm up` itself says comes under this name."""

_REQUESTS_TO_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """Runs in the main thread until a signal asks it to end.

    The first signal drains the hosts; the second asks them to give their jobs back at once and kills what remains
    after `KILL_AFTER_SECONDS`; the third kills. Redis is stopped in order every time, by whoever started it.
    """

    def __init__(
        self,
        terminal: Terminal,
        coordinator: Child,
        hosts: Sequence[Child],
        sources: Sources,
        redis_server: RedisServer | None,
    ) -> None:
        self._terminal = terminal
        self._coordinator = coordinator
        self._hosts = list(hosts)
        self._children = [coordinator, *hosts]
        self._sources = sources
        self._redis_server = redis_server
        self._redis_failures = 0
        self._redis_restart_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._requests = 0

    def run(self) -> None:
        """Starts the children and returns when all have ended, after a signal asked for that: see `hears_requests`."""
        try:
            for child in self._children:
                self._start(child)
            while not self._requests:
                self._wait(self._next_restart())
                self._restart_what_ended()
                self._reload_changed_sources()
            self._end()
        finally:
            for child in self._children:
                child.kill()
            self._wait_for(self._children, KILL_AFTER_SECONDS)
            self._selector.close()

    def _start(self, child: Child) -> None:
        child.start()
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _next_restart(self) -> float:
        now = time.monotonic()
        pauses = [child.restart_at - now for child in self._children if child.restart_at is not None]
        return max(0.0, min([TICK_SECONDS, *pauses]))

    def _wait(self, timeout: float) -> None:
        """Passes on what the children say, until something happened or `timeout` seconds are over."""
        for key, _ in self._selector.select(timeout):
            child = key.data
            if not isinstance(child, Child):
                assert isinstance(key.fileobj, socket.socket)
                key.fileobj.recv(1024)
                continue
            said = child.read_lines()
            if said is None:
                self._selector.unregister(child.output)
            for line in said or ():
                self._terminal.line(child.name, line)
        for child in self._children:
            self._collect(child)

    def _collect(self, child: Child) -> None:
        descriptor = child.output if child.running else -1
        end = child.collect_end()
        if end is None:
            return
        if descriptor in self._selector.get_map():
            self._selector.unregister(descriptor)
        return_code, last_lines = end
        for line in last_lines:
            self._terminal.line(child.name, line)
        if self._requests:
            self._say(f"{child.name} {describe_exit(return_code)}")
        else:
            pause = child.plan_restart()
            how = describe_exit(return_code)
            self._say(f"{child.name} {how}, though nobody asked it to; starting it again in {pause:g} s")

    def _restart_what_ended(self) -> None:
        now = time.monotonic()
        self._restart_redis(now)
        for child in self._children:
            if child.restart_at is not None and child.restart_at <= now:
                self._start(child)

    def _restart_redis(self, now: float) -> None:
        server = self._redis_server
        if server is None or server.running or now < self._redis_restart_at:
            return
        self._redis_failures = 1 if now - self._redis_restart_at > STABLE_AFTER_SECONDS else self._redis_failures + 1
        self._redis_restart_at = now + pause_before_restart(self._redis_failures)
        self._say(f"Redis ended, though nobody asked it to (see {server.log}); starting it again with its data")
        try:
            server.start()
        except RedisServerError as error:
            self._say(str(error))

    def _reload_changed_sources(self) -> None:
        changed = self._sources.changed()
        if not changed:
            return
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        self._say(f"{changed[0].name}{more} changed: processes are replaced, busy ones after their job")
        for host in self._hosts:
            host.signal(signal.SIGHUP)
            host.forgive()

    def _end(self) -> None:
        self._say("stopping: running jobs may end, waiting ones stay in Redis; Ctrl-C again ends at once")
        self._ask_to_end(self._hosts)
        self._wait_for(self._hosts, None)
        self._ask_to_end([self._coordinator])
        self._wait_for([self._coordinator], KILL_AFTER_SECONDS)

    def _ask_to_end(self, children: Sequence[Child]) -> None:
        for child in children:
            child.restart_at = None
            child.signal(signal.SIGTERM)

    def _wait_for(self, children: Sequence[Child], kill_after: float | None) -> None:
        """Returns when these have ended. Kills them after `kill_after` seconds, or earlier on further signals."""
        kill_at = None if kill_after is None else time.monotonic() + kill_after
        heard = self._requests
        while any(child.running for child in children):
            self._wait(TICK_SECONDS / 4)
            if self._requests > heard:
                heard = self._requests
                self._say("ending at once")
                self._ask_to_end(children)
                kill_at = time.monotonic() + (KILL_AFTER_SECONDS if heard == 2 else 0)
            if kill_at is not None and time.monotonic() >= kill_at:
                for child in children:
                    child.kill()

    @contextmanager
    def hears_requests(self) -> Iterator[None]:
        """While in this context, requests to end are counted, and signals (ends of children too) end a wait.

        To be entered before a user is told that he may end it.
        """
        reader, writer = socket.socketpair()
        reader.setblocking(False)
        writer.setblocking(False)
        self._selector.register(reader, selectors.EVENT_READ)
        before = {number: signal.signal(number, self._count_request) for number in _REQUESTS_TO_END}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()

    def _count_request(self, _number: int, _frame: FrameType | None) -> None:
        self._requests += 1

    def _say(self, text: str) -> None:
        self._terminal.line(NAME, text)
