"""One process of the demo with all that it starts: begun, stopped for a moment, killed as a whole."""

import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from farm.tether import tethered

GONE_WITHIN_SECONDS = 5.0
CHECK_INTERVAL_SECONDS = 0.01
LOG_LINES_IN_ERRORS = 8


class Program:
    """A command that ends with this process at the latest. What it says goes to `log`; its stdin is a pipe."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log: Path) -> None:
        """Starts it. Call it in the main thread."""
        self.name = name
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                tethered(command),
                env=dict(environ),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.poll()

    def tell(self, line: str) -> None:
        """Writes a line to its stdin. One that has ended is noticed by its exit code."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def stop(self) -> list[psutil.Process]:
        """Stops it and all that it started, as SIGSTOP does. Returns these processes; the first is its own."""
        tree = self._tree()
        _signal(tree, signal.SIGSTOP)
        tree = self._tree()  # what was started meanwhile
        _signal(tree, signal.SIGSTOP)
        return tree

    def go_on(self) -> None:
        """Ends a `stop`."""
        _signal(self._tree(), signal.SIGCONT)

    def kill(self) -> int:
        """SIGKILL to the whole tree. Returns how many processes that were, once all are gone."""
        tree = self.stop()
        _signal(tree, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        deadline = time.monotonic() + GONE_WITHIN_SECONDS
        while any(map(_lives, tree)) and time.monotonic() < deadline:
            time.sleep(CHECK_INTERVAL_SECONDS)
        return len(tree)

    def last_words(self) -> str:
        """The end of its log, for errors."""
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_IN_ERRORS:]
        return "\n".join([f"{self.name} said last:", *(f"  {line}" for line in lines or ["nothing"])])

    def _tree(self) -> list[psutil.Process]:
        if self.exit_code is not None:
            return []
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _lives(process: psutil.Process) -> bool:
    """A zombie is gone for us: whoever inherited it collects it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
