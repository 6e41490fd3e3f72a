"""Tells a service manager (systemd, or what speaks its protocol) that a long-running command is ready, alive, stopping.

A datagram to the socket that NOTIFY_SOCKET names; sd_notify(3) has the words. Written here as the protocol is one call
of the socket module: the packages for it are older, do less (no watchdog, no abstract sockets), or need a C compiler.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from math import inf

LOOK_SECONDS = 0.5
"""Between two looks at how things are."""

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


@dataclass(frozen=True, slots=True)
class Report:
    """How a command is right now."""

    status: str
    """One line for people."""
    ready: bool = False
    alive: bool = True
    """False: it makes no progress. Then the watchdog is not fed, and the service manager restarts the command."""
    stopping: bool = False


class ServiceManager:
    """Who started this program, if that wants to be told."""

    def __init__(self, address: str = "", watchdog: float = inf) -> None:
        """`address`: of the socket, with `@` for an abstract one; empty: nobody wants to know.

        `watchdog`: seconds without a sign of life after which the service manager kills.
        """
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._watchdog = watchdog
        self._fed_at = -inf
        self._last: Report | None = None
        self._told: set[str] = set()

    @classmethod
    def take(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """As the variables say. They are removed: no process that is started here may speak for this one."""
        address, microseconds, pid = (environ.pop(name, "") for name in VARIABLES)
        if not address.startswith(("/", "@")):
            return cls()
        is_meant = microseconds.isdigit() and int(microseconds) > 0 and pid in ("", str(os.getpid()))
        return cls(address, int(microseconds) / 1_000_000 if is_meant else inf)

    async def keep_told(self, look: Callable[[], Report]) -> None:
        """Until cancelled, from the event loop: what blocks that starves the watchdog. `look` says how things are."""
        if not self._address:
            return
        try:
            while True:
                self.tell(look(), time.monotonic())
                await asyncio.sleep(min(LOOK_SECONDS, self._watchdog / 4))
        finally:
            self.tell(look(), time.monotonic())  # who stops at once has said nothing of it so far

    def tell(self, report: Report, now: float) -> None:
        """Sends what is news, and feeds the watchdog each half of its time. `now`: monotonic seconds."""
        words = []
        if self._last is None or report.status != self._last.status:
            words.append(f"STATUS={' '.join(report.status.split())}")
        if report.ready and not report.stopping:
            words += self._once("READY=1")
        if report.stopping:
            words += self._once("STOPPING=1")
        if self._watchdog < inf and report.alive and now - self._fed_at >= self._watchdog / 2:
            words.append("WATCHDOG=1")
            self._fed_at = now
        self._last = report
        if words:
            self._send("\n".join(words))

    def _once(self, word: str) -> list[str]:
        if word in self._told:
            return []
        self._told.add(word)
        return [word]

    def _send(self, words: str) -> None:
        """A service manager that can't be told is no reason to end, nor to wait."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.setblocking(False)
            notify.sendto(words.encode(), self._address)
