"""A job that is asked to end: it may do so by itself, for as long as it was given."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from farm_worker.execution import Execution
from farm_worker.job_log import JobLog
from farm_worker.orders import Orders
from farm_worker.outcomes import Outcomes
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import Reason
from farm_worker.spool import Spool
from farm_worker.stopping import Stopping
from tests.support.outcomes import packed_hash


class Process:
    """Has begun the first of its jobs, if it has begun any."""

    def __init__(self, *assignments: Assignment, begun: bool) -> None:
        self.assignments = list(assignments)
        self.has_begun = begun
        self.asked: list[tuple[bytes, str]] = []
        self.killed: list[Reason] = []

    @property
    def begun(self) -> Assignment | None:
        return self.assignments[0] if self.has_begun and self.assignments else None

    @property
    def running(self) -> list[Assignment]:
        return [] if self.begun is None else [self.begun]

    def find_running(self, job_id: bytes) -> Assignment | None:
        return next((each for each in self.running if each.job_id == job_id), None)

    def stop(self, _: Assignment, reason: Reason) -> None:
        self.kill(reason)

    def take_back(self) -> list[Assignment]:
        first = 1 if self.has_begun else 0
        taken, self.assignments = self.assignments[first:], self.assignments[:first]
        return taken

    def cancel(self, job_id: bytes, reason: str) -> bool:
        self.asked.append((job_id, reason))
        return True

    def kill(self, reason: Reason) -> None:
        self.killed.append(reason)


class Pool:
    """One process."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.processes = [process]

    def find(self, job_id: bytes) -> Process | None:
        return self.process if any(each.job_id == job_id for each in self.process.assignments) else None

    def kill_job(self, job_id: bytes, reason: Reason) -> bool:
        if self.process.begun is None or self.process.begun.job_id != job_id:
            return False
        self.process.kill(reason)
        return True


def assignment(job_id: str = "a") -> Assignment:
    token, packed = f"token of {job_id}", packed_hash({})
    return Assignment(job_id.encode(), token, "default", 1, "rerun", timeout=None, packed=packed)


def run(process: Process, body: Callable[[Orders, Execution], Awaitable[None]]) -> None:
    async def scenario() -> None:
        execution = Execution(None, Outcomes(Spool(None)), JobLog("failures"), lambda: None)  # type: ignore[arg-type]
        execution.attach(Pool(process))  # type: ignore[arg-type]
        await body(Orders("redis://unused", "channel", execution, Stopping()), execution)

    asyncio.run(scenario())


def order(grace: Any = 0.05, job_id: str = "a") -> dict[str, Any]:
    return {"command": "cancel-job", "job_id": job_id, "grace": grace}


async def until(predicate: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not predicate():
            await asyncio.sleep(0.005)


def test_a_job_that_does_not_end_within_its_grace_is_stopped() -> None:
    process = Process(assignment(), begun=True)

    async def body(orders: Orders, _: Execution) -> None:
        orders.obey(order())
        assert [job_id for job_id, _ in process.asked] == [b"a"]
        assert process.killed == []
        await until(lambda: process.killed)
        assert process.killed == [Reason.STOPPED]

    run(process, body)


@pytest.mark.parametrize("next_job", ["another job", "the same job again"])
def test_a_job_that_ends_within_its_grace_harms_no_later_one(next_job: str) -> None:
    process = Process(assignment(), begun=True)

    async def body(orders: Orders, _: Execution) -> None:
        orders.obey(order(grace=0.02))
        process.assignments = [assignment("a" if next_job == "the same job again" else "b")]
        await asyncio.sleep(0.1)
        assert process.killed == []

    run(process, body)


def test_a_job_that_was_not_begun_never_begins_and_the_others_wait_on() -> None:
    first, canceled, last = (assignment(name) for name in ("first", "a", "last"))
    process = Process(first, canceled, last, begun=True)

    async def body(orders: Orders, execution: Execution) -> None:
        orders.obey(order(grace=60))
        assert process.asked == []
        assert [(ending.job_id, ending.kind) for ending in execution._outcomes._waiting] == [(b"a", "stopped")]
        assert list(execution._held) == [last]
        assert process.assignments == [first]

    run(process, body)


def test_a_job_that_is_not_here_is_nobodys_business() -> None:
    process = Process(assignment(), begun=True)

    async def body(orders: Orders, execution: Execution) -> None:
        orders.obey(order(job_id="b"))
        orders.obey(order(job_id="\ud800"))
        assert (process.asked, process.killed, list(execution._outcomes._waiting)) == ([], [], [])

    run(process, body)


@pytest.mark.parametrize("grace", [-1, "soon", None, [], float("nan"), float("inf"), 10**400])
def test_a_grace_that_is_no_length_of_time_is_ignored(grace: Any, caplog: pytest.LogCaptureFixture) -> None:
    process = Process(assignment(), begun=True)

    async def body(orders: Orders, _: Execution) -> None:
        orders.obey(order(grace=grace))
        assert (process.asked, process.killed) == ([], [])

    run(process, body)
    assert "no length of time" in caplog.text


def test_an_execution_is_stopped_and_not_another_one_of_the_same_job() -> None:
    process = Process(assignment(), begun=True)

    async def body(orders: Orders, _: Execution) -> None:
        orders.obey({"command": "stop-execution", "job_id": "a", "execution_id": "token of an attempt before"})
        assert process.killed == []
        orders.obey({"command": "stop-execution", "job_id": "a", "execution_id": "token of a"})
        assert process.killed == [Reason.STOPPED]

    run(process, body)


@pytest.mark.parametrize("command", ["stop-job", "stop-execution"])
def test_an_id_that_no_job_can_have_ends_nothing(command: str) -> None:
    async def body(orders: Orders, _: Execution) -> None:
        orders.obey({"command": command, "job_id": "\ud800"})

    run(Process(assignment(), begun=True), body)
