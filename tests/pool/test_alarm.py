"""Time limits of job after job: the timer of one may still run, or be used by it, while the next has its own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Queue

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import Ready
from tests.support.child_harness import ChildHarness
from tests.support.outcomes import value
from tests.support.waiting import wait_out

JOBS = """
import os, signal, time

def nothing():
    return os.getpid()

def sleep(seconds):
    begun = time.monotonic()
    time.sleep(seconds)
    return time.monotonic() - begun

def disarm():
    signal.setitimer(signal.ITIMER_REAL, 0)

def use_alarm():
    rung = []
    signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    signal.alarm(1)
    time.sleep(1.5)
    signal.alarm(0)
    return len(rung)

def leave_timer(seconds, interval):
    signal.setitimer(signal.ITIMER_REAL, seconds, interval)

def count_rings(seconds):
    rung = []
    signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    time.sleep(seconds)
    return len(rung)
"""
Run = Callable[..., Outcome]


@pytest.fixture
def run(redis_url: str, queue: Queue, user_folder: Path) -> Iterator[Run]:
    """Runs one job after another in one process."""
    (user_folder / "alarming_jobs.py").write_text(JOBS)
    with ChildHarness(redis_url, path=[str(user_folder)]) as child:
        child.receive(Ready)

        def run_one(function: str, *arguments: Any, limit: int = 180) -> Outcome:
            return child.run(queue.enqueue(f"alarming_jobs.{function}", *arguments, job_timeout=limit))

        yield run_one
        assert value(run_one("nothing")) == child.process.pid, "all ran in the same process"


def was_ended(outcome: Outcome, limit: int) -> bool:
    """Whether its time limit ended it, and in time."""
    assert outcome.seconds < limit + 5
    return outcome.summary == f"JobTimeoutException: Task exceeded maximum timeout value ({limit} seconds)"


@pytest.mark.parametrize("before", [3600, 180, 2, 1, -1])
def test_a_limit_holds_whatever_that_of_the_job_before_was(run: Run, before: int) -> None:
    for _ in range(3):
        assert run("nothing", limit=before).kind == "finished"
    assert was_ended(run("sleep", 60, limit=1), 1)
    assert run("nothing", limit=before).kind == "finished"
    assert was_ended(run("sleep", 60, limit=1), 1)


def test_a_job_has_its_time_though_the_limit_of_the_one_before_is_over_meanwhile(run: Run) -> None:
    run("nothing", limit=1)
    assert value(run("sleep", 1.5, limit=3)) >= 1.5
    run("nothing", limit=1)
    ended = run("sleep", 60, limit=2)
    assert was_ended(ended, 2)
    assert ended.seconds > 1.9


@pytest.mark.parametrize("limit", [-1, 10**9, 10**400])
def test_a_job_without_a_limit_or_with_one_beyond_all_timers_is_not_ended(run: Run, limit: int) -> None:
    run("nothing", limit=1)
    assert value(run("sleep", 1.5, limit=limit)) >= 1.5


@pytest.mark.parametrize(
    ("function", "arguments"),
    [("disarm", ()), ("use_alarm", ()), ("leave_timer", (1000, 0)), ("leave_timer", (0.3, 0.3))],
)
def test_a_job_that_uses_the_timer_for_itself_takes_no_limit_from_later_ones(
    run: Run, function: str, arguments: tuple[float, ...]
) -> None:
    assert run("nothing").kind == "finished"
    assert run(function, *arguments).kind == "finished"
    assert run("sleep", 0.1).kind == "finished", "so long a timer is trusted"
    assert was_ended(run("sleep", 60, limit=1), 1)


def test_a_job_may_have_alarms_of_its_own(run: Run) -> None:
    assert value(run("use_alarm")) == 1


def test_an_alarm_that_rings_between_jobs_hurts_nobody(run: Run) -> None:
    first = value(run("nothing", limit=1))
    wait_out(1.5)
    assert value(run("nothing", limit=1)) == first
    assert was_ended(run("sleep", 60, limit=1), 1)


def test_a_job_without_a_limit_hears_no_alarm_of_the_job_before(run: Run) -> None:
    run("nothing", limit=1)
    assert value(run("count_rings", 1.5, limit=-1)) == 0
