"""One child of `farm up`: started, read line by line, started again with back-off when it ends unexpectedly."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from farm.tether import tethered

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
STABLE_AFTER_SECONDS = 30.0
"""A child that lived this long did start well: its next restart comes without a longer pause."""

READ_BYTES = 65_536
LINE_LIMIT_BYTES = 65_536
LAST_WORDS_BYTES = 1_000_000
"""More than a pipe holds: what an ended process left in it."""


def pause_before_restart(failures: int) -> float:
    """Seconds to wait after this many failures in a row, 1 or more."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 10))


def describe_exit(return_code: int) -> str:
    """How a process ended, in words."""
    if return_code < 0:
        with suppress(ValueError):
            return f"was killed by {signal.Signals(-return_code).name}"
    return f"ended with exit code {return_code}"


class Child:
    """A command that is to run until told otherwise, in a session of its own, and never longer than this process."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        self.name = name
        self.restart_at: float | None = None
        """Monotonic time of the planned restart; None while it runs or is not to be started again."""
        self._command = list(command)
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._failures = 0
        self._partial_line = b""

    @property
    def running(self) -> bool:
        """Whether the process was started and its end was not collected yet."""
        return self._process is not None

    @property
    def output(self) -> int:
        """Descriptor to read from, while running. It does not block."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def start(self) -> None:
        """Starts the command."""
        self.restart_at = None
        self._started_at = time.monotonic()
        self._process = subprocess.Popen(
            tethered(self._command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environ,
            start_new_session=True,
        )
        os.set_blocking(self.output, False)

    def signal(self, number: int) -> None:
        """Sends a signal to the command, if it runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends the command and what it started in its process group."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def read_lines(self) -> list[str] | None:
        """Whole lines written since the last call; None once nobody can write any more."""
        try:
            data = os.read(self.output, READ_BYTES)
        except BlockingIOError:
            return []
        return self._split(data) if data else None

    def collect_end(self) -> tuple[int, list[str]] | None:
        """The return code and last lines, once the process has ended; None while it runs."""
        if self._process is None:
            return None
        return_code = self._process.poll()
        if return_code is None:
            return None
        assert self._process.stdout is not None
        lines: list[str] = []
        with suppress(BlockingIOError), self._process.stdout:
            lines += self._split(os.read(self.output, LAST_WORDS_BYTES) + b"\n")
        self._partial_line = b""
        self._process = None
        return return_code, lines

    def plan_restart(self) -> float:
        """Says when to start again after an unexpected end. Returns the pause in seconds."""
        if time.monotonic() - self._started_at >= STABLE_AFTER_SECONDS:
            self._failures = 0
        self._failures += 1
        pause = pause_before_restart(self._failures)
        self.restart_at = time.monotonic() + pause
        return pause

    def forgive(self) -> None:
        """Starts again without a pause if it waits for that: something changed that may have helped."""
        self._failures = 0
        if self.restart_at is not None:
            self.restart_at = time.monotonic()

    def _split(self, data: bytes) -> list[str]:
        """The whole lines in what was read; the rest is kept for the next call, unless it grew too long."""
        *lines, self._partial_line = (self._partial_line + data).split(b"\n")
        if len(self._partial_line) > LINE_LIMIT_BYTES:
            lines, self._partial_line = [*lines, self._partial_line], b""
        return [line.decode("utf-8", "replace") for line in lines if line]
