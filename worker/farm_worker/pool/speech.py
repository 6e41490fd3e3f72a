"""What each job of a process says, as messages to the host, and no more of it than its allowance."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from farm.context import CurrentJob
from farm_worker.pool.allowance import JOB, Allowance
from farm_worker.pool.log_records import plain
from farm_worker.pool.output_lines import NOTHING, LineCutter, Piece
from farm_worker.pool.protocol import Output

STDOUT, STDERR, LOG = "stdout", "stderr", "log"


class Say(Protocol):
    """Sends messages."""

    def __call__(self, messages: Sequence[Output], *, wait: bool = False) -> int:
        """How many were sent: a host that stands still gets no more, unless it is to be waited for."""
        ...


class Speech:
    """What one job says."""

    def __init__(self, sequence: int, say: Say, above: Allowance) -> None:
        self.sequence = sequence
        self.job: CurrentJob | None = None
        self._say = say
        self._allowance = Allowance(JOB, above)
        self._loud = Allowance(JOB, above)
        """For warnings and errors: a flood of other lines must not hide them."""
        self._cutters = {source: LineCutter(self._allowance) for source in (STDOUT, STDERR)}
        self._missed = NOTHING
        """Lines and characters of records and messages that were not sent."""

    def print(self, source: str, text: str) -> None:
        """Text that was written to a stream."""
        pieces = self._cutters[source].feed(text)
        if pieces:
            self._send(self._messages(source, pieces))

    def log(self, message: Output) -> None:
        """A record that was logged."""
        size = len(message.text) + len(message.exception)
        allowance = self._loud if message.level >= logging.WARNING else self._allowance
        if allowance.take(size):
            self._send([message])
        else:
            self._miss(1, size)

    def finish(self) -> None:
        """Nothing more follows."""
        messages: list[Output] = []
        for source, cutter in self._cutters.items():
            messages += self._messages(source, cutter.finish())
        if messages or self._missed is not NOTHING:
            self._send(messages, wait=True)

    def _messages(self, source: str, pieces: Sequence[Piece]) -> list[Output]:
        return [Output(self.sequence, source, piece.text, dropped=piece.dropped) for piece in pieces]

    def _send(self, messages: list[Output], *, wait: bool = False) -> None:
        if self._missed is not NOTHING:
            messages.insert(0, Output(self.sequence, LOG, "", dropped=self._missed))
            self._missed = NOTHING
        fields = self._bound_fields()
        if fields:
            for message in messages:
                message.fields = fields | message.fields
        for message in messages[self._say(messages, wait=wait) :]:
            lines, size = message.dropped
            self._miss(lines or not size, size or len(message.text) + len(message.exception))

    def _miss(self, lines: int, size: int) -> None:
        self._missed = (self._missed[0] + lines, self._missed[1] + size)

    def _bound_fields(self) -> dict[str, Any]:
        fields = getattr(self.job, "log_fields", None)
        return plain(fields) if fields else {}
