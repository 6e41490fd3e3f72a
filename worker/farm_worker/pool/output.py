"""What jobs say, in their process: prints and log records, as messages to the host, each bound to its job.

A process that a job forks says it through the pipe that is its stdout and stderr: the messages are its parent's.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from farm.context import running_job
from farm_worker.pool.allowance import PROCESS, Allowance
from farm_worker.pool.log_records import JobLogHandler
from farm_worker.pool.protocol import Output
from farm_worker.pool.speech import LOG, STDERR, STDOUT, Say, Speech
from farm_worker.pool.streams import ENCODING, ERRORS, OutputStream

_DESCRIPTORS = {STDOUT: 1, STDERR: 2}

_sequence: ContextVar[int] = ContextVar("farm_sequence", default=0)


def take_over_output(say: Say | None, log_level: str) -> "ProcessOutput":
    """From here on all that Python code of this process prints and logs goes to `say`; None: to its own stdout, stderr.

    Called again after a fork, it goes to the new `say`. Whoever kept `sys.stderr` before, as handlers of `logging` do,
    is heard there too.
    """
    global _output  # noqa: PLW0603 - as there is one stdout
    if _output is None:
        _output = ProcessOutput(log_level)
    _output.connect(say)
    return _output


class ProcessOutput:
    """The output of this process. May be used from all threads, and from signal handlers."""

    _say: Say | None
    _standing_stdout: Any
    _standing_stderr: Any

    def __init__(self, log_level: str) -> None:
        """Takes the places of stdout, stderr and the root logger's handler."""
        self._stdout = OutputStream("<stdout>", _DESCRIPTORS[STDOUT], self._taker(STDOUT), self._flush)
        self._stderr = OutputStream("<stderr>", _DESCRIPTORS[STDERR], self._taker(STDERR), self._flush)
        self._reset()
        buffers: list[object] = [self._stdout.buffer, self._stderr.buffer]
        for replaced in (sys.stdout, sys.stderr):
            buffers.append(getattr(replaced, "buffer", replaced))
            with suppress(OSError, ValueError):
                replaced.flush()
        sys.stdout, sys.stderr = self._stdout, self._stderr
        sys.__stdout__, sys.__stderr__ = self._stdout, self._stderr  # type: ignore[misc,assignment]
        self._log_to_root(log_level.upper(), buffers)
        os.register_at_fork(after_in_child=self._reset)

    def connect(self, say: Say | None) -> None:
        """Where all goes from here on. None: to stdout and stderr."""
        self._reset()
        self._say = say

    def begin(self, sequence: int) -> None:
        """What is said from here on is this job's: in this thread, what it starts, and where no other job runs."""
        if not self._running:
            self._standing_stdout, self._standing_stderr = sys.stdout, sys.stderr
        self._running[sequence] = None
        _sequence.set(sequence)

    def end(self, sequence: int) -> None:
        """Says what is left of the job's last lines. Call it before the job's outcome is sent, in the same thread."""
        if self._standing_stdout is not sys.stdout or self._standing_stderr is not sys.stderr:
            self._put_back_streams()
        if self._stdout.held or self._stderr.held:
            self._release()
        self._running.pop(sequence, None)
        if self._speeches:
            self.finish(sequence)

    def finish(self, sequence: int = 0) -> None:
        """Says the rest of what was said by a job that has ended, or outside of jobs."""
        self._release()
        with self._lock:
            speech = self._speeches.pop(sequence, None)
            if speech is not None:
                speech.finish()

    def _reset(self) -> None:
        """As at the beginning. After a fork nobody listens to the new process yet, and its parent says the rest."""
        self._say = None
        self._lock = threading.RLock()
        self._running: dict[int, None] = {}
        """Sequences of the jobs."""
        self._speeches: dict[int, Speech] = {}
        self._allowance = Allowance(PROCESS)
        self._standing_stdout, self._standing_stderr = self._stdout, self._stderr
        self._stdout.held.clear()
        self._stderr.held.clear()
        self._pending = dict.fromkeys(_DESCRIPTORS, "")

    def _log_to_root(self, level: str, buffers: list[object]) -> None:
        handler = JobLogHandler(self._log, buffers)
        handler.setLevel(level)
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(level)

    def _taker(self, source: str) -> Callable[[str], None]:
        def take(text: str) -> None:
            with self._lock:
                if self._say is None:
                    self._write(source, text)
                else:
                    self._speech(self._say).print(source, text)

        return take

    def _log(self, level: int, logger: str, text: str, traceback: str, fields: dict[str, Any]) -> None:
        with self._lock:
            if self._say is None:
                line = f"{logging.getLevelName(level)} {logger}: {text}"
                self._write(STDERR, f"{line}\n{traceback}\n" if traceback else f"{line}\n")
                return
            speech = self._speech(self._say)
            speech.log(Output(speech.sequence, LOG, text, level, logger, traceback, fields))

    def _speech(self, say: Say) -> Speech:
        sequence = _sequence.get()
        if sequence not in self._running:
            running = tuple(self._running)
            sequence = running[0] if len(running) == 1 else 0
        speech = self._speeches.get(sequence)
        if speech is None:
            speech = self._speeches[sequence] = Speech(sequence, say, self._allowance)
        if speech.job is None:
            speech.job = running_job.get()
        return speech

    def _release(self) -> None:
        """What this thread began to write is written; if no other job runs, what all threads did."""
        for stream in (self._stdout, self._stderr):
            for thread in tuple(stream.held) if len(self._running) <= 1 else (threading.get_ident(),):
                stream.release(thread)

    def _put_back_streams(self) -> None:
        """A job ended without putting back the streams that it replaced. What they hold was said by it."""
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        if len(self._running) == 1:
            sys.stdout, sys.stderr = self._standing_stdout, self._standing_stderr

    def _write(self, source: str, text: str) -> None:
        whole, newline, rest = (self._pending[source] + text).rpartition("\n")
        self._pending[source] = rest
        _write_all(_DESCRIPTORS[source], whole + newline)

    def _flush(self) -> None:
        if self._say is not None:
            return  # what has no end yet is no line yet
        self._release()
        with self._lock:
            for source, text in self._pending.items():
                self._pending[source] = ""
                _write_all(_DESCRIPTORS[source], text)


def _write_all(descriptor: int, text: str) -> None:
    data = memoryview(text.encode(ENCODING, ERRORS))
    with suppress(OSError):  # closed by the job
        while data:
            data = data[os.write(descriptor, data) :]


_output: ProcessOutput | None = None
