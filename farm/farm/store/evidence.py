"""What is known of the processes and hosts that ended under a job: the field `farm_evidence` of its hash.

One line of JSON for each end, at most ten: the scripts append them in the step that counts the end.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

FIELD = "farm_evidence"

LINE_BYTES = 2000
"""A longer line loses the beginning of what was printed."""

_TEXT_LENGTH = 600
_LINE_LENGTH = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One process or host that ended while it ran the job. What is not known is None, or empty."""

    at: datetime | None
    """When it was noticed: aware, UTC."""
    host: str
    reason: str
    """Why the process ended, as in docs/process-ends.md; `host_lost` for a host."""
    attempt: int | None = None
    signal: str | None = None
    """`SIGSEGV`; None when it exited."""
    exit_code: int | None = None
    memory: int | None = None
    """Bytes of the process and all it started, as last sampled."""
    peak_memory: int | None = None
    silent: float | None = None
    """Of a lost host: seconds without a beat when it was given up."""
    detail: str = ""
    """The end of the process in a sentence."""
    last_lines: tuple[str, ...] = ()
    """The end of what it printed."""

    def sentence(self) -> str:
        """When, where, which attempt, and what happened."""
        when = "" if self.at is None else f"{self.at.isoformat(timespec='seconds')}, "
        attempt = "" if self.attempt is None else f", attempt {self.attempt}"
        return f"{when}host {self.host or 'unknown'}{attempt}: {self.detail or self._in_short()}"

    def report(self) -> str:
        """The sentence, and below it what was printed last."""
        return "\n".join([self.sentence(), *(f"  {line}" for line in self.last_lines)])

    def _in_short(self) -> str:
        if self.reason != "host_lost":
            return self.reason
        return "the host was lost" + ("" if self.silent is None else f", {self.silent:g} s after its last beat")

    def to_line(self) -> str:
        """One line of JSON of at most `LINE_BYTES`."""
        known: dict[str, Any] = {name: value for name, value in asdict(self).items() if value is not None}
        if self.at is not None:
            known["at"] = self.at.isoformat()
        known["detail"] = self.detail.partition("\n")[0][:_TEXT_LENGTH]
        lines = [line[:_LINE_LENGTH] for line in self.last_lines]
        while len(text := json.dumps(known | {"last_lines": lines})) > LINE_BYTES and (lines or known["detail"]):
            known["detail"] = known["detail"] if lines else known["detail"][: len(known["detail"]) // 2]
            lines = lines[1:]
        return text


def parse(value: bytes | None) -> tuple[Evidence, ...]:
    """The ends in a job's field, oldest first. A line that cannot be read is left out."""
    found = (_parse_line(line) for line in (value or b"").splitlines())
    return tuple(evidence for evidence in found if evidence is not None)


def reports(ends: Iterable[Evidence]) -> str:
    """All of them for people, one below the other."""
    return "\n".join(evidence.report() for evidence in ends)


def _parse_line(line: bytes) -> Evidence | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, dict):
        return None
    lines = said.get("last_lines")
    return Evidence(
        at=_moment(said.get("at")),
        host=_text(said.get("host")),
        reason=_text(said.get("reason")),
        attempt=_whole(said.get("attempt")),
        signal=_text(said.get("signal")) or None,
        exit_code=_whole(said.get("exit_code")),
        memory=_whole(said.get("memory")),
        peak_memory=_whole(said.get("peak_memory")),
        silent=_number(said.get("silent")),
        detail=_text(said.get("detail")),
        last_lines=tuple(map(str, lines)) if isinstance(lines, list) else (),
    )


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    number = _number(value)
    return None if number is None or not number.is_integer() else int(number)
