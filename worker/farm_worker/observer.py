"""Tells the app's handlers what happens on the host: turns processes, jobs and states into events."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from farm_settings import Settings
from farm_worker.admission import AdmissionState
from farm_worker.handlers import Handlers
from farm_worker.hooks import Hooks
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.reasons import ProcessEnd, Reason

STATES = {"full": "host_full", "available": "host_available", "draining": "host_draining"}
"""State → the event that tells of it."""

FACT_NAMES = {"last_memory": "memory", "job_id": "job"}
"""Facts of an end whose name for users is another one."""

ATTRIBUTES = frozenset({"reason", "pid", "number", "queue", "attempt", "function", "beside"})
"""Of an end: they are attributes of the event itself."""


def observe(
    hooks: Hooks | None, settings: Settings, environment: Mapping[str, str], host: str, facts: str = ""
) -> "HostObserver | None":
    """An observer of the host named `host`, if the app has handlers for anything; starts their process.

    `facts`: path of the host's `FactsBoard`.
    """
    if hooks is None or not hooks.app.events:
        return None
    return HostObserver(Handlers(settings, environment, host=host, events=hooks.app.events, facts=facts))


class HostObserver:
    """Computes nothing for events that nobody handles."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    @property
    def pid(self) -> int | None:
        """The handlers process."""
        return self._handlers.pid

    async def close(self) -> None:
        """What was told still reaches its handlers, for a while."""
        await self._handlers.close()

    def state_changed(self, state: AdmissionState) -> None:
        """The host is in another state now."""
        if state.state in STATES:
            self._handlers.tell(STATES[state.state], reason=state.reason or None, load=state.load)

    def process_created(self, process: ProcessHandle) -> None:
        """For the pool, as what follows."""
        self._handlers.tell("process_created", **_process(process))

    def process_started(self, process: ProcessHandle) -> None:
        self._handlers.tell("process_started", **_process(process))

    def process_ready(self, process: ProcessHandle) -> None:
        seconds = process.ready_at - process.spawned_at
        self._handlers.tell("process_ready", **_process(process), seconds=seconds)

    def job_launched(self, process: ProcessHandle, assignment: Assignment) -> None:
        if self._handlers.wants("job_launched"):
            self._handlers.tell("job_launched", **_process(process), **_job(assignment))

    def jobs_finished(self, process: ProcessHandle, outcomes: Sequence[tuple[Assignment, Outcome]]) -> None:
        if not self._handlers.wants("job_finished"):
            return
        for assignment, outcome in outcomes:
            if outcome.kind in {"unbegun", "returned"}:  # it did not begin
                continue
            self._handlers.tell(
                "job_finished",
                **_process(process),
                outcome=outcome.kind,
                seconds=outcome.seconds,
                facts={"error": outcome.summary or None, "again": outcome.again or None},
                **_job(assignment),
            )

    def process_ended(self, end: ProcessEnd) -> None:
        """For the host: a process of the pool, or a copy of a runner."""
        if not (self._handlers.wants("process_killed") or self._handlers.wants("process_closed")):
            return
        told: dict[str, Any] = {
            "process": None if end.runner else end.number,
            "pid": end.pid or None,
            "job": end.job_id,
            "queue": end.queue,
            "attempt": end.attempt,
            "function": end.function,
            "reason": end.reason.value,
            "facts": facts(end),
        }
        if end.abnormal or end.reason is Reason.STOPPED:
            self._handlers.tell("process_killed", **told)
        self._handlers.tell("process_closed", **told)


def facts(end: ProcessEnd) -> dict[str, Any]:
    """Everything else that is known of an end, by name. What is not known is None."""
    names = (each.name for each in fields(end) if each.name not in ATTRIBUTES)
    known = {FACT_NAMES.get(name, name): _plain(getattr(end, name)) for name in names}
    return known | {"copy": end.number if end.runner else None}


def _process(process: ProcessHandle) -> dict[str, Any]:
    return {"process": process.number, "pid": process.pid or None}


def _plain(value: Any) -> Any:
    return None if value == "" else value


def _job(assignment: Assignment) -> dict[str, Any]:
    return {
        "job": assignment.job_id.decode("utf-8", "replace"),
        "queue": assignment.queue,
        "attempt": assignment.attempt,
        "function": assignment.function,
    }
