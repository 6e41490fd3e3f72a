"""What a job sees of itself: `farm.current_job()`."""

from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Callback, Queue, Retry
from rq.job import Job

import farm
from farm import context
from farm.context import CurrentJob, CurrentProcess
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import CancelJob, Progress, encode
from tests.support.child_harness import ChildHarness
from tests.support.outcomes import error, value, written


def enqueue(queue: Queue, function: str, *arguments: Any, **options: Any) -> Job:
    return queue.enqueue(f"around_jobs.{function}", args=arguments, **options)


@pytest.fixture
def child(used_child: ChildHarness) -> ChildHarness:
    """Most of these tests say what a job may do, not how its process begins or ends: one process serves them all."""
    return used_child


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def cancel(child: ChildHarness, sequence: int, reason: str = "the user asked") -> None:
    child.lines.control.setblocking(True)
    child.lines.control.sendall(encode(CancelJob(sequence, reason)))


def outside() -> CurrentJob:
    """A job of no process."""
    return CurrentJob(Job("one", connection=redis.Redis()), "default", 1, CurrentProcess("host", 1, 1))


def reports_and_outcome(child: ChildHarness) -> tuple[list[Progress], Outcome]:
    reports = []
    while isinstance(message := child.receive_any(), Progress):
        reports.append(message)
    assert isinstance(message, Outcome), message
    return reports, message


def test_a_job_knows_itself_and_its_process(child: ChildHarness, queue: Queue) -> None:
    job = enqueue(queue, "describe", meta={"colour": "blue"})
    child.start(job, attempt=3)
    assert value(child.receive(Outcome)) == {
        "id": job.id,
        "queue": "default",
        "attempt": 3,
        "payload": None,
        "meta": {"colour": "blue"},
        "number": 1,
        "log_fields": {},
    }


def test_usage_counts_the_job_and_the_children_that_it_waited_for(child: ChildHarness, queue: Queue) -> None:
    for _ in range(2):  # the second one does not count the first
        cpu, wall, memory, peak = value(child.run(enqueue(queue, "burn", 0.2)))
        assert 0.4 <= cpu < 0.8
        assert wall >= 0.2
        assert 10_000_000 < memory <= peak * 1.2


class TestProgress:
    def test_the_host_hears_the_first_and_the_last_and_some_between(self, child: ChildHarness, queue: Queue) -> None:
        sequence = child.start(enqueue(queue, "report", 100, 0.005))
        reports, outcome = reports_and_outcome(child)
        assert outcome.kind == "finished"
        assert reports[0] == Progress(sequence, 0.01, "1 of 100")
        assert reports[-1] == Progress(sequence, 1.0, "100 of 100")
        assert 3 <= len(reports) <= 2 + 10 * outcome.seconds

    def test_what_was_said_last_is_sent_before_the_job_ends(self, child: ChildHarness, queue: Queue) -> None:
        child.start(enqueue(queue, "report", 2, 0.5))
        child.receive(Progress)
        assert child.receive(Progress).text == "2 of 2"
        assert child.receive(Outcome).kind == "finished"

    def test_threads_of_a_job_may_report(self, child: ChildHarness, queue: Queue) -> None:
        job = enqueue(queue, "report_from_a_thread")
        sequence = child.start(job)
        assert child.receive(Progress) == Progress(sequence, None, "from a thread")
        assert child.receive(Outcome).kind == "finished"


class TestCancelling:
    def test_a_job_that_leaves_when_asked_ends_as_stopped(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        path = tmp_path / "calls"
        job = enqueue(
            queue,
            "wait_until_cancelled",
            retry=Retry(max=3),
            meta={"path": str(path)},
            on_stopped=Callback("around_jobs.on_stopped"),
        )
        sequence = child.start(job)
        cancel(child, sequence)
        outcome = child.receive(Outcome)
        assert (outcome.kind, outcome.again, written(outcome).result_type) == ("stopped", "", 2)
        assert f"job {job.id} was asked to end: the user asked" in error(outcome)
        assert lines(path) == ["stopped stopped"]

    def test_a_job_that_does_its_work_all_the_same_finishes(self, child: ChildHarness, queue: Queue) -> None:
        cancel(child, child.start(enqueue(queue, "ignore_cancel")))
        assert value(child.receive(Outcome)) == "done all the same"

    def test_the_next_job_is_not_cancelled(self, child: ChildHarness, queue: Queue) -> None:
        cancel(child, child.start(enqueue(queue, "wait_until_cancelled")))
        child.receive(Outcome)
        outcome = child.run(enqueue(queue, "claim_to_be_cancelled"))
        assert (outcome.kind, outcome.summary) == ("failed", "JobCancelled: nobody asked")


class TestShutdownCallbacks:
    def test_they_run_after_the_job_the_last_one_first(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "calls"
        assert value(child.run(enqueue(queue, "call_back", str(path)))) == "value"
        assert lines(path) == ["job", "async", "added first"]

    def test_they_run_after_a_failure_too(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        path = tmp_path / "calls"
        assert child.run(enqueue(queue, "call_back", str(path), True)).summary == "RuntimeError: boom"
        assert lines(path) == ["job", "async", "added first"]

    def test_one_that_raises_is_logged_and_changes_nothing(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        path = tmp_path / "calls"
        job = queue.enqueue("around_jobs.call_back", args=(str(path),), kwargs={"broken": True})
        assert value(child.run(job)) == "value"
        assert lines(path) == ["job", "async", "added first"]
        said = [message for message in child.said if "shutdown callback" in message.text]
        assert len(said) == 1
        assert "broken_callback" in said[0].text
        assert "LookupError: the callback is broken" in said[0].exception

    def test_what_is_no_function_is_refused_at_once(self) -> None:
        job = outside()
        with pytest.raises(TypeError, match="takes a function"):
            job.add_shutdown_callback("nothing")  # type: ignore[arg-type]


def test_outside_of_a_job_there_is_none() -> None:
    assert farm.current_job() is None


def test_progress_outside_of_the_farm_goes_nowhere() -> None:
    job = outside()
    job.progress(0.5, "half")


def test_a_request_that_comes_before_the_job_began_is_not_lost() -> None:
    context.cancel_job(7, "early")
    job, other = outside(), outside()
    try:
        context.enter_job(6, other)
        context.enter_job(7, job)
    finally:
        context.running_jobs.clear()
    assert (job.is_cancelled, other.is_cancelled) == (True, False)


def test_requests_for_jobs_that_never_come_are_not_kept_for_ever() -> None:
    for sequence in range(1000):
        context.cancel_job(sequence, "nobody")
    assert len(context._cancelled_early) <= context.MAX_CANCELLED_EARLY
    context._cancelled_early.clear()
