"""A long-running command as a person sees it: its lines as they come, and signals."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.waiting import wait_until


class TerminalCommand:
    """A command in a session of its own whose output is kept in a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    @property
    def text(self) -> str:
        """All that was written so far, on both streams."""
        return self._output.read_text(errors="replace")

    def wait_for_line(self, *parts: str, count: int = 1, timeout: float = 20.0) -> str:
        """The last line that holds all parts, once there are `count` of them."""

        def found() -> list[str]:
            lines = [line for line in self.text.splitlines() if all(part in line for part in parts)]
            return lines if len(lines) >= count else []

        try:
            return wait_until(found, f"a line with {parts}", timeout)[-1]
        except AssertionError as error:
            raise AssertionError(f"{error}; it wrote:\n{self.text}") from None

    def send(self, number: int) -> None:
        """A signal to the command itself."""
        self.process.send_signal(number)

    def wait(self, timeout: float = 20.0) -> int:
        """The exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {timeout:g} s; it wrote:\n{self.text}") from None


@contextmanager
def running(command: Sequence[str], environ: Mapping[str, str], folder: Path) -> Iterator[TerminalCommand]:
    """Runs the command in `folder` with its output in a file; kills it at the end if it still runs."""
    descriptor, name = tempfile.mkstemp(dir=folder.parent)
    with os.fdopen(descriptor, "wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(environ),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield TerminalCommand(process, Path(name))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
