"""`OfferedJob`: what the function of `App.accept` is told of a job."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from farm.context import ENTRYPOINT


class OfferedCall(NamedTuple):
    """What a job carries, decoded."""

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class OfferedJob:
    """A job that came to this host. Nothing of what it carries is decoded until it is looked at."""

    __slots__ = (
        *("_call", "_meta", "_read_call", "_read_meta", "attempt", "enqueued_at", "function", "id", "memory_mb"),
        *("queue", "requires"),
    )

    def __init__(  # noqa: PLR0913 - all that is known of it
        self,
        job_id: str,
        queue: str,
        *,
        function: str = "",
        enqueued_at: datetime | None = None,
        attempt: int = 1,
        requires: tuple[str, ...] = (),
        memory_mb: int | None = None,
        read_call: Callable[[], OfferedCall] = lambda: OfferedCall("", (), {}),
        read_meta: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        """`read_call`, `read_meta`: decode what it carries; each is called once, if at all."""
        self.id = job_id
        self.queue = queue
        """Name of the queue that it came from."""
        self.function = function
        """What the job says it calls, without the arguments."""
        self.enqueued_at = enqueued_at
        self.attempt = attempt
        """1 when it is to run for the first time."""
        self.requires = requires
        """Labels that it requires, of its own or of its queue."""
        self.memory_mb = memory_mb
        """Megabytes that it requires, of its own or of its queue."""
        self._read_call, self._read_meta = read_call, read_meta
        self._call: OfferedCall | None = None
        self._meta: dict[str, Any] | None = None

    def __repr__(self) -> str:
        return f"<job {self.id} of queue {self.queue}, {self.function or 'unknown'}>"

    @property
    def args(self) -> tuple[Any, ...]:
        """Its arguments by position."""
        return self._decoded().args

    @property
    def kwargs(self) -> dict[str, Any]:
        """Its arguments by name."""
        return self._decoded().kwargs

    @property
    def payload(self) -> Any:
        """What was enqueued for the entry point: its argument, else its keyword arguments as a dict, else None.

        None for jobs that are functions.
        """
        call = self._decoded()
        if call.function != ENTRYPOINT:
            return None
        return call.args[0] if call.args else dict(call.kwargs) or None

    @property
    def meta(self) -> dict[str, Any]:
        """RQ's `job.meta`. Changes stay here."""
        if self._meta is None:
            self._meta = dict(self._read_meta())
        return self._meta

    def _decoded(self) -> OfferedCall:
        if self._call is None:
            self._call = self._read_call()
        return self._call
