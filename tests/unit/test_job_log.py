"""Lines about single jobs: enough to read along, never a flood, failures always."""

import logging

import pytest

from farm.ending import Ending
from farm.store.started import StartedJob
from farm_worker.job_log import LINES_PER_SECOND, JobLog
from tests.support import outcomes
from tests.support.outcomes import packed_hash


def started(job_id: bytes, attempt: int = 1, called: bytes = b"") -> StartedJob:
    """As it comes from `start.lua`."""
    packed = packed_hash({b"description": called + b"(7, 'secret')"})
    return StartedJob(job_id, "t" * 32, "default", attempt, "rerun", b"", called, has_callbacks=False, packed=packed)


JOB = started(b"odd \xff id")


def ended(kind: str = "finished", summary: str = "") -> Ending:
    return outcomes.ending(b"job", "t" * 32, kind, summary=summary)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "farm.jobs")
    return caplog


def test_starts_and_ends_are_told_up_to_a_limit_and_then_counted(lines: pytest.LogCaptureFixture) -> None:
    log = JobLog("limited")
    for _ in range(5 * LINES_PER_SECOND):
        log.started(JOB)
    told = len(lines.messages)
    assert LINES_PER_SECOND <= told <= 3 * LINES_PER_SECOND
    log.tick(1e9)
    assert lines.messages[-1].endswith("more jobs started or finished")


def test_all_of_them_are_told_on_request(lines: pytest.LogCaptureFixture) -> None:
    log = JobLog("all")
    for _ in range(100):
        log.ended(ended(), "finished")
    assert len(lines.messages) == 100


@pytest.mark.parametrize("setting", ["limited", "all", "failures"])
def test_a_failure_is_always_told_with_its_reason(lines: pytest.LogCaptureFixture, setting: str) -> None:
    log = JobLog(setting)
    for _ in range(100):
        log.ended(ended("failed", "ValueError: no"), "failed")
    assert len([message for message in lines.messages if "ValueError: no" in message]) == 100


def test_only_failures_are_told_on_request(lines: pytest.LogCaptureFixture) -> None:
    log = JobLog("failures")
    log.started(JOB)
    log.ended(ended(), "finished")
    log.tick(1e9)
    assert lines.messages == []


def test_an_odd_id_is_shown_readably(lines: pytest.LogCaptureFixture) -> None:
    JobLog("all").started(JOB)
    assert "odd \\xff id" in lines.text


def test_a_start_names_the_function_and_keeps_its_arguments_to_itself(lines: pytest.LogCaptureFixture) -> None:
    JobLog("all").started(started(b"id", attempt=2, called=b"shop.bill"))
    assert lines.messages == ["started id shop.bill queue=default attempt=2"]


@pytest.mark.parametrize(
    ("answer", "hint"), [("failed", True), ("poisoned", True), ("again", False), ("stopped", False)]
)
def test_a_failure_says_how_to_see_its_traceback(lines: pytest.LogCaptureFixture, answer: str, hint: bool) -> None:
    JobLog("limited").ended(ended("failed", "ValueError: no"), answer)
    assert ("farm job job --traceback" in lines.text) is hint
