"""What the parts of a host say that run the user's code beside jobs: hooks, handlers, template, runners."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.lines import widen
from farm_worker.pool.output_lines import NOTHING, mark
from farm_worker.pool.protocol import Output
from farm_worker.pool.said import Said

_logger = logging.getLogger("farm.part")


class PartOutput:
    """Writes what one process prints and logs into the host's log."""

    def __init__(self, name: str) -> None:
        self.pid = 0
        self._name = name
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        widen(self._write)
        self._said = Said(self._read, _NoJobs(), self._show)

    @contextmanager
    def given(self) -> Iterator[int]:
        """The end of the pipe that becomes the process's stdout and stderr, while it is started."""
        try:
            yield self._write
        except OSError:
            self.close()
            raise
        finally:
            os.close(self._write)

    @property
    def last_lines(self) -> Sequence[str]:
        """What it said last."""
        return tuple(self._said.last_lines)

    def hear(self, message: Output) -> None:
        """The process says this."""
        self._said.hear(message)

    def close(self) -> None:
        """Shows the rest: the process has ended."""
        self._said.close()
        os.close(self._read)

    def _show(self, _: Assignment | None, output: Output) -> None:
        if not _logger.isEnabledFor(output.level):
            return
        text = output.text if output.dropped == NOTHING else mark(output.dropped)
        record = _logger.makeRecord(_logger.name, output.level, "", 0, text, (), None)
        record.exc_text = output.exception or None
        logger = f"{output.logger}: " if output.logger not in ("", "root") else ""
        record.prefix = f"[{self._name}] {logger}"
        part = {"part": self._name, "pid": self.pid, "stream": output.source}
        record.fields = output.fields | part | ({"part_logger": output.logger} if output.logger else {})
        _logger.handle(record)


class _NoJobs:
    """Jobs have processes of their own."""

    assignments: Sequence[Assignment] = ()
    begun: Assignment | None = None
