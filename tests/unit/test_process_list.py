"""When a host tells anew of its processes, and what: often enough, and no oftener."""

import json
from collections import deque
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from farm.store.job_status import Progress
from farm.store.process_view import RunnerView, from_line, runner_from_line
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.state import State
from farm_worker.process_list import MAX_JOBS_LISTED, MAX_LISTED, RENEW_SECONDS, ProcessList
from tests.support.outcomes import packed_hash

WHO = "1-aa"
PROGRESS = Progress(0.5, "half", datetime(2026, 1, 2, tzinfo=UTC))


def process(number: int = 1, *jobs: Assignment, state: State = State.READY, **facts: Any) -> Any:
    known: dict[str, Any] = {
        "pid": 100 + number,
        "spawned_at": 90.0,
        "jobs_done": 0,
        "last_memory": None,
        "peak_memory": None,
    }
    return SimpleNamespace(number=number, state=state, assignments=deque(jobs), running=[*jobs], **(known | facts))


def job(called: bytes = b"shop.bill") -> Assignment:
    packed = packed_hash({b"description": called + b"(7)", b"data": b"\x80evil"})
    return Assignment(b"a", "t" * 32, "calls", 2, "rerun", None, packed, called, begun_at=97.5)


def told(processes: ProcessList, listed: list[Any], now: float, identity: str = WHO) -> bool:
    lines = processes.due(identity, listed, (), now)
    if lines is not None:
        processes.written(now)
    return lines is not None


def test_a_process_is_told_with_its_job_and_nothing_of_it_is_decoded() -> None:
    running = job()
    running.progress = PROGRESS
    lines = ProcessList().due(WHO, [process(3, running, jobs_done=4, last_memory=5, peak_memory=6)], (), now=100.0)
    assert lines is not None

    said = json.loads(lines["3"])
    about_job = {"job_id": "a", "function": "shop.bill", "job_seconds": 2.5, "queue": "calls", "attempt": 2}
    assert said == about_job | {
        "number": 3,
        "pid": 103,
        "state": "busy",
        "age": 10.0,
        "jobs_done": 4,
        "memory": 5,
        "peak_memory": 6,
        "progress": {"fraction": 0.5, "text": "half", "at": "2026-01-02T00:00:00Z"},
        "beside": [],
        "unlisted": 0,
    }


def test_a_process_that_runs_many_side_by_side_is_told_with_the_oldest_and_how_many_more() -> None:
    jobs = [
        msgspec.structs.replace(job(), job_id=b"%d" % number, token=f"{number}")
        for number in range(MAX_JOBS_LISTED + 5)
    ]
    processes = ProcessList()
    lines = processes.due(WHO, [process(3, *jobs)], (), now=100.0)
    processes.written(100.0)

    assert lines is not None
    listed = from_line(lines["3"])
    assert listed is not None
    assert [one.job_id for one in listed.running] == [f"{number}" for number in range(MAX_JOBS_LISTED)]
    assert (listed.running[1].queue, listed.running[1].job_seconds, listed.unlisted) == ("calls", 2.5, 5)
    assert not told(processes, [process(3, *jobs)], 100.1)
    assert told(processes, [process(3, *jobs[:-1])], 100.2), "one less runs"


@pytest.mark.parametrize(
    ("state", "with_job", "shown"),
    [
        (State.STARTING, False, "starting"),
        (State.READY, False, "ready"),
        (State.READY, True, "busy"),
        (State.CLOSING, True, "closing"),
    ],
)
def test_the_state_of_a_process_is_told(state: State, with_job: bool, shown: str) -> None:
    lines = ProcessList().due(WHO, [process(1, *([job()] if with_job else []), state=state)], (), now=100.0)

    assert lines is not None
    assert json.loads(lines["1"])["state"] == shown


def test_a_host_whose_processes_do_nothing_tells_of_them_now_and_then() -> None:
    processes = ProcessList()
    idle = process()
    assert told(processes, [idle], 100.0)
    idle.jobs_done, idle.last_memory = 9, 9

    assert not told(processes, [idle], 101.0)
    assert not told(processes, [idle], 100.0 + RENEW_SECONDS - 0.1)
    assert told(processes, [idle], 100.0 + RENEW_SECONDS)


def test_what_matters_is_told_with_the_next_beat() -> None:
    processes = ProcessList()
    running = job()
    assert told(processes, [process()], 100.0)
    assert told(processes, [process(1, running)], 100.1), "it has a job"
    running.progress = PROGRESS
    assert told(processes, [process(1, running)], 100.2), "it said something"
    assert told(processes, [process(1, state=State.CLOSING)], 100.3), "it closes"
    assert told(processes, [process(2)], 100.4), "it is another one"
    assert told(processes, [], 100.5), "there is none"
    assert told(processes, [], 100.6, identity="2-bb"), "under another identity nothing was told yet"
    assert not told(processes, [], 100.7, identity="2-bb")


def test_a_list_that_redis_did_not_get_stays_due() -> None:
    processes = ProcessList()

    assert processes.due(WHO, [process()], (), 100.0) is not None
    assert processes.due(WHO, [process()], (), 100.1) is not None


def test_the_list_is_bounded() -> None:
    lines = ProcessList().due(WHO, [process(number) for number in range(1, 1500)], (), now=100.0)

    assert lines is not None
    assert list(lines) == [str(number) for number in range(1, MAX_LISTED + 1)]


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (b"shop.bill", "shop.bill"),
        (b" shop.bill ", "shop.bill"),
        (b"\xff", "\N{REPLACEMENT CHARACTER}"),
        (b"x" * 1000, "x" * 200),
        (b" ", None),
        (b"", None),
    ],
)
def test_the_function_is_what_the_job_calls_as_text(called: bytes, name: str | None) -> None:
    assert job(called).function == name


def test_a_copy_of_a_runner_is_told_beside_the_processes_and_anew_when_its_state_changes() -> None:
    processes = ProcessList()
    copy = RunnerView(runner="embed", copy=0, pid=7, state="starting", memory=5)

    lines = processes.due(WHO, [process()], [copy], 100.0)
    processes.written(100.0)

    assert lines is not None
    assert runner_from_line(lines["embed/0"]) == copy
    assert processes.due(WHO, [process()], [replace(copy, memory=6)], 100.1) is None, "memory alone can wait"
    assert processes.due(WHO, [process()], [replace(copy, state="ready")], 100.2) is not None
