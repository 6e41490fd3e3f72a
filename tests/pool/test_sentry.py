"""`sentry_sdk` as its users set it up: what fails is captured, once, with the job's data."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rq import Queue, Retry

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import CancelJob, Ready, encode
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import value
from tests.support.sentry_intake import SentryIntake

pytest.importorskip("sentry_sdk")

SETUP = """
import json, os, pathlib
import farm, sentry_sdk
from sentry_sdk.transport import Transport

app = farm.App()

class ToFile(Transport):
    def capture_envelope(self, envelope):
        with pathlib.Path(os.environ["EVENTS"]).open("a") as file:
            for item in envelope.items:
                print(json.dumps([item.type, item.payload.json]), file=file)

def set_up():
    sentry_sdk.init("http://key@127.0.0.1:1/1", transport=ToFile, traces_sample_rate=1.0)
"""
AT_IMPORT = SETUP + "set_up()\n"
IN_PREWARM = SETUP + "@app.prewarm\ndef warm():\n    set_up()\n"
IN_BACKGROUND = """
import os
import farm, sentry_sdk
sentry_sdk.init(os.environ["DSN"])
app = farm.App()
"""

Start = Callable[[str], ChildHarness]


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return tmp_path / "events"


@pytest.fixture
def start(redis_url: str, user_folder: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("EVENTS", str(events))
    with ExitStack() as stack:

        def start_with(code: str) -> ChildHarness:
            (user_folder / "watched_app.py").write_text(code)
            path = [USER_MODULES, str(user_folder)]
            child = stack.enter_context(ChildHarness(redis_url, path=path, app="watched_app"))
            child.receive(Ready)
            return child

        yield start_with


def captured(events: Path, kind: str) -> list[dict[str, Any]]:
    lines = events.read_text().splitlines() if events.exists() else []
    return [payload for found, payload in map(json.loads, lines) if found == kind]


@pytest.mark.parametrize(
    "code", [pytest.param(AT_IMPORT, marks=pytest.mark.slow), IN_PREWARM], ids=["at import", "in prewarm"]
)
def test_a_failure_is_captured_once_with_the_jobs_data(start: Start, queue: Queue, events: Path, code: str) -> None:
    job = queue.enqueue("jobs_under_test.fail", "a text")
    child = start(code)
    assert child.run(job).summary == "RuntimeError: a text"
    (event,) = captured(events, "event")
    assert event["extra"]["rq-job"]["job_id"] == job.id
    assert event["extra"]["rq-job"]["func"] == "jobs_under_test.fail"
    assert event["transaction"] == "jobs_under_test.fail"
    (raised,) = event["exception"]["values"]
    assert (raised["type"], raised["value"]) == ("RuntimeError", "a text")
    assert raised["mechanism"] == {"type": "rq", "handled": False}
    assert child.close() == 0
    assert len(captured(events, "event")) == 1


def test_a_failure_with_retries_left_is_not_captured_the_last_one_is(start: Start, queue: Queue, events: Path) -> None:
    child = start(AT_IMPORT)
    job = queue.enqueue("jobs_under_test.fail", retry=Retry(max=1))
    assert child.run(job).again == "back"
    assert captured(events, "event") == []
    queue.connection.hset(job.key, "retries_left", 0)
    assert child.run(job, attempt=2).again == ""
    assert len(captured(events, "event")) == 1


def test_a_job_that_finishes_is_a_transaction(start: Start, queue: Queue, events: Path) -> None:
    child = start(AT_IMPORT)
    outcome = child.run(queue.enqueue("jobs_under_test.add", 1, 2))
    assert value(outcome) == 3
    (transaction,) = captured(events, "transaction")
    assert transaction["transaction"] == "jobs_under_test.add"
    assert transaction["contexts"]["trace"]["op"] == "queue.task.rq"
    assert captured(events, "event") == []


def test_what_one_job_tells_sentry_is_not_told_of_the_next(start: Start, queue: Queue, events: Path) -> None:
    child = start(AT_IMPORT + "def tag():\n    sentry_sdk.set_tag('colour', 'red')\n")
    child.run(queue.enqueue("watched_app.tag"))
    child.run(queue.enqueue("jobs_under_test.fail"))
    assert "colour" not in captured(events, "event")[0].get("tags", {})


def test_a_job_that_was_stopped_is_no_failure(start: Start, queue: Queue, events: Path) -> None:
    child = start(AT_IMPORT)
    sequence = child.start(queue.enqueue("around_jobs.wait_until_cancelled"))
    child.lines.control.sendall(encode(CancelJob(sequence, "enough")))
    assert child.receive(Outcome).kind == "stopped"
    assert captured(events, "event") == []


def test_what_waits_to_be_sent_is_sent_before_the_process_ends(
    start: Start, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sentry sends in the background. A process of fresh mode ends right after its job."""
    with SentryIntake() as intake:
        monkeypatch.setenv("DSN", intake.dsn)
        child = start(IN_BACKGROUND)
        assert child.run(queue.enqueue("jobs_under_test.fail")).kind == "failed"
        assert child.close() == 0
        assert len(intake.bodies) == 1


def test_exception_handlers_of_the_user_run_beside_it(
    redis_url: str, queue: Queue, user_folder: Path, events: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVENTS", str(events))
    (user_folder / "watched_app.py").write_text(AT_IMPORT)
    path = [USER_MODULES, str(user_folder)]
    handlers = ["jobs_under_test.handle_and_go_on"]
    with ChildHarness(redis_url, path=path, app="watched_app", exception_handlers=handlers) as child:
        child.receive(Ready)
        child.run(queue.enqueue("jobs_under_test.fail", meta={"path": str(tmp_path / "calls")}))
    assert (tmp_path / "calls").read_text() == "second handler RuntimeError\n"
    assert len(captured(events, "event")) == 1


def test_a_tool_that_fails_before_the_job_fails_it(start: Start, queue: Queue) -> None:
    broken = (
        "import farm\nfrom rq.worker import Worker\napp = farm.App()\n"
        "def perform_job(self, job, queue, *rest):\n    raise LookupError('the tool is broken')\n"
        "Worker.perform_job = perform_job\n"
    )
    assert start(broken).run(queue.enqueue("jobs_under_test.add", 1, 2)).summary == "LookupError: the tool is broken"


def test_a_tool_that_fails_after_the_job_changes_nothing(start: Start, queue: Queue) -> None:
    broken = (
        "import farm\nfrom rq.worker import Worker\napp = farm.App()\nbefore = Worker.perform_job\n"
        "def perform_job(self, job, queue, *rest):\n    before(self, job, queue, *rest)\n"
        "    raise LookupError('the tool is broken')\n"
        "Worker.perform_job = perform_job\n"
    )
    child = start(broken)
    assert child.run(queue.enqueue("jobs_under_test.add", 1, 2)).kind == "finished"
    assert any("LookupError: the tool is broken" in message.exception for message in child.said)


def test_a_job_may_run_a_worker_of_rq_itself(child: ChildHarness, queue: Queue) -> None:
    inner = queue.enqueue("jobs_under_test.add", 1, 2)
    outcome = child.run(Queue("outer", connection=queue.connection).enqueue("around_jobs.work_off", "default"))
    assert outcome.kind == "finished", outcome.summary
    assert inner.return_value() == 3
