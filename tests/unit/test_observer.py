"""What becomes an event for the app's handlers, and what costs nothing as nobody handles it."""

import dataclasses
from dataclasses import fields
from typing import Any, cast

import pytest

from farm.event import Event
from farm_worker.admission import AdmissionState
from farm_worker.handlers import Handlers
from farm_worker.observer import ATTRIBUTES, FACT_NAMES, HostObserver, facts
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.reasons import Phase, ProcessEnd, Reason


class Told:
    """Handlers of some events."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.events: list[tuple[str, dict[str, Any]]] = []

    def wants(self, name: str) -> bool:
        return name in self.names

    def tell(self, name: str, **told: Any) -> None:
        assert set(told) <= {each.name for each in fields(Event)}
        if name in self.names:
            self.events.append((name, told))


def observer_of(told: Told) -> HostObserver:
    return HostObserver(cast(Handlers, told))


def end_for(reason: Reason, pid: int = 77) -> ProcessEnd:
    return ProcessEnd(
        reason=reason,
        pid=pid,
        number=2,
        phase=Phase.JOB,
        exit_code=None,
        signal="SIGKILL",
        age=1.5,
        jobs_done=3,
        last_memory=1000,
        job_id="a",
        job_seconds=0.5,
    )


@pytest.mark.parametrize("reason", Reason)
def test_an_end_that_nobody_asked_for_and_a_stopped_job_are_a_kill_and_all_ends_are_told(reason: Reason) -> None:
    told = Told("process_killed", "process_closed")
    observer_of(told).process_ended(end_for(reason))

    asked_for = {Reason.RECYCLED, Reason.SURPLUS, Reason.DRAINED, Reason.CLOSED}
    expected = ["process_closed"] if reason in asked_for else ["process_killed", "process_closed"]
    assert [name for name, _ in told.events] == expected
    assert {event["reason"] for _, event in told.events} == {reason.value}


def test_each_fact_of_an_end_gets_through() -> None:
    found = facts(end_for(Reason.CRASHED))

    names = {each.name for each in fields(ProcessEnd)} - ATTRIBUTES
    assert set(found) == {FACT_NAMES.get(name, name) for name in names} | {"copy"}
    known = {"phase": "job", "signal": "SIGKILL", "exit_code": None, "memory": 1000, "job": "a", "error": None}
    assert known.items() <= found.items()


def test_a_process_that_was_never_born_has_no_pid() -> None:
    told = Told("process_closed")
    observer_of(told).process_ended(end_for(Reason.CLOSED, pid=0))

    assert told.events[0][1]["pid"] is None


def test_the_end_of_a_copy_of_a_runner_is_told_apart_from_processes_of_the_pool() -> None:
    told = Told("process_killed")
    observer_of(told).process_ended(dataclasses.replace(end_for(Reason.CRASHED), runner="embed", number=1, job_id=None))

    event = told.events[0][1]
    assert (event["process"], event["job"]) == (None, None)
    assert (event["facts"]["runner"], event["facts"]["copy"]) == ("embed", 1)


def test_states_that_have_no_event_are_not_told() -> None:
    told = Told("host_full", "host_available", "host_draining")
    observer = observer_of(told)

    for state in ("starting", "available", "full", "unhealthy", "draining"):
        observer.state_changed(AdmissionState(state=state, reason="so", load=0.5))  # type: ignore[arg-type]

    assert told.events == [
        (name, {"reason": "so", "load": 0.5}) for name in ("host_available", "host_full", "host_draining")
    ]


def test_nothing_of_a_job_is_read_for_events_without_a_handler() -> None:
    nothing = cast(Any, None)
    observer = observer_of(Told("host_full"))

    observer.job_launched(cast(ProcessHandle, nothing), cast(Assignment, nothing))
    observer.jobs_finished(cast(ProcessHandle, nothing), [(cast(Assignment, nothing), cast(Outcome, nothing))])
    observer.process_ended(cast(ProcessEnd, nothing))
