"""How faults take hold of hosts and processes."""

import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from tests.chaos.stage import HostPlace, Stage

Script = Iterator[float]
"""A fault: it yields for how many seconds it wants to be left alone."""


class FaultFinding(AssertionError):
    """The farm did not do what it must after a fault."""


def draw_host(stage: Stage, draw: random.Random) -> HostPlace | None:
    """One that no fault is at; None if the one that was drawn has trouble enough."""
    host = draw.choice(stage.hosts)
    return None if host.disturbed or host.member.process.poll() is not None else host


@contextmanager
def under_fault(host: HostPlace) -> Iterator[None]:
    """While a fault is at this host, no other one is."""
    host.disturbed = True
    try:
        yield
    finally:
        host.disturbed = False


def send(processes: list[psutil.Process], number: signal.Signals) -> None:
    """To those that still run."""
    for process in processes:
        with suppress(psutil.Error):
            process.send_signal(number)
