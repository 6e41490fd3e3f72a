"""What one process says: through its messages and through the pipe that is its stdout and stderr."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.output_lines import NOTHING, Piece, mark
from farm_worker.pool.output_pipe import OutputPipe
from farm_worker.pool.protocol import Output

LAST_LINES = 20
_LAST_LINE_CHARACTERS = 500
PIPE = "pipe"
"""The source of lines whose way nobody knows: stdout or stderr."""

Show = Callable[[Assignment | None, Output], None]


class Holder(Protocol):
    """The process, as far as its jobs are asked for."""

    @property
    def assignments(self) -> Iterable[Assignment]: ...
    @property
    def begun(self) -> Assignment | None: ...


class Said:
    """Hands on what the process says, each line with the job that said it, and keeps the last ones."""

    def __init__(self, descriptor: int, process: Holder, show: Show) -> None:
        """`descriptor`: the pipe's read end. It stays the caller's."""
        self.last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._process = process
        self._show = show
        self._pipe = OutputPipe(descriptor, self._written)

    def hear(self, message: Output) -> None:
        """A line or a record came as a message."""
        jobs = (one for one in self._process.assignments if one.sequence == message.sequence)
        self._tell(next(jobs, None), message)

    def settle(self) -> None:
        """Shows what was written until now: the job that runs has ended."""
        self._pipe.settle()

    def close(self) -> None:
        """Shows the rest, and reads no more."""
        self._pipe.close()

    def _written(self, pieces: Sequence[Piece]) -> None:
        assignment = self._process.begun
        sequence = assignment.sequence if assignment is not None else 0
        for piece in pieces:
            self._tell(assignment, Output(sequence, PIPE, piece.text, dropped=piece.dropped))

    def _tell(self, assignment: Assignment | None, output: Output) -> None:
        text = output.text if output.dropped == NOTHING else mark(output.dropped)
        for line in (text, *output.exception.splitlines()):
            self.last_lines.append(line[:_LAST_LINE_CHARACTERS])
        self._show(assignment, output)
