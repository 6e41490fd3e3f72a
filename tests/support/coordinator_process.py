"""Coordinators as processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


class CoordinatorProcess:
    """One `python -P -m farm.coordinator`, with what it says in a file."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "farm.coordinator"],
                env=dict(environment),
                stdout=stream,
                stderr=stream,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def says(self) -> str:
        """Everything said so far."""
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it. Returns its exit code."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(10)


@contextmanager
def coordinators(environment: Mapping[str, str], folder: Path, count: int = 1) -> Iterator[list[CoordinatorProcess]]:
    """Runs some coordinators, and ends them at the end."""
    running = [CoordinatorProcess(environment, folder / f"coordinator{number}.log") for number in range(count)]
    try:
        yield running
    finally:
        for coordinator in running:
            coordinator.end(signal.SIGKILL)
