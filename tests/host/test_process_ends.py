"""How processes end on a real host: the reason and the facts in the job's failure, in the events and in the log."""

import os
import signal
from pathlib import Path

import pytest

from farm import host as farm_host
from tests.support.farm import Farm
from tests.support.waiting import wait_until

START_METHODS = pytest.mark.parametrize("start_method", [pytest.param("spawn", marks=pytest.mark.slow), "template"])

JOBS = """
import itertools, os, signal, subprocess, sys, time

def die(number):
    os.kill(os.getpid(), number)

def leave(code):
    os._exit(code)

def hold_in_c():
    return sum(itertools.repeat(1, 10**13))

def ignore_everything():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

def grow_in_a_child():
    subprocess.run([sys.executable, "-c", "import time; x = bytearray(400_000_000); time.sleep(600)"])

def pid():
    return os.getpid()

def spin(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    return "done"

def take_over_the_dump_signal():
    signal.signal(signal.SIGUSR2, signal.SIG_DFL)
    ignore_everything()
"""

TROUBLED = """
import os, time
import farm

app = farm.App()

@app.load
def load():
    return 0.0

@app.prewarm
def prewarm():
    if os.path.exists({trouble!r}):
        {act}
"""


@pytest.fixture
def ends(farm: Farm, user_folder: Path) -> Farm:
    """A farm whose hosts find the jobs above."""
    (user_folder / "ends.py").write_text(JOBS)
    return farm


def troubled(user_folder: Path, trouble: Path, act: str) -> None:
    (user_folder / "troubled.py").write_text(TROUBLED.format(trouble=str(trouble), act=act))


def end_of(farm: Farm, reason: str, timeout: float = 30.0) -> dict[str, str]:
    """The event of the first process that ended for this reason."""

    def found() -> dict[str, str] | None:
        return next((event for event in farm.events("process.ended") if event["reason"] == reason), None)

    return wait_until(found, f"a process ended: {reason}", timeout)


def run(farm: Farm, function: str, *arguments: object, timeout: int = 60) -> tuple[str, str]:
    """Id and error of a job that fails."""
    job = farm.queue().enqueue(f"ends.{function}", *arguments, job_timeout=timeout)
    farm.wait_for(job, status="failed", timeout=40)
    return job.id, farm.error_of(job)


@pytest.mark.parametrize(
    ("name", "start_method"),
    [
        ("SIGSEGV", "template"),
        pytest.param("SIGABRT", "spawn", marks=pytest.mark.slow),
        pytest.param("SIGKILL", "template", marks=pytest.mark.slow),
    ],
)
def test_a_job_that_dies_of_a_signal_says_so(ends: Farm, name: str, start_method: str) -> None:
    host = ends.host(max_crashes=1, start_method=start_method)

    job_id, error = run(ends, "die", int(getattr(signal, name)))

    assert f"({name})" in error
    assert f"while running job {job_id} (ends.die)" in error
    event = end_of(ends, "crashed")
    assert (event["signal"], event["job"], event["function"]) == (name, job_id, "ends.die")
    assert (event["phase"], event["queue"], event["attempt"], event["killed"]) == ("job", "default", "1", "0")
    wait_until(lambda: f"while running job {job_id} (ends.die)" in host.says, "the host says so")
    for text in (error, event["stack"], host.says):
        assert ("in die" in text) == (name != "SIGKILL")


@pytest.mark.parametrize("code", [0, pytest.param(3, marks=pytest.mark.slow)])
def test_a_job_that_leaves_its_process_has_not_succeeded(ends: Farm, code: int) -> None:
    ends.host(max_crashes=1)

    job_id, error = run(ends, "leave", code)

    assert f"exited with code {code} while running job {job_id}" in error
    assert end_of(ends, "exited")["exit_code"] == str(code)


def test_a_job_that_holds_the_interpreter_beyond_its_timeout_says_where_it_was(ends: Farm) -> None:
    ends.host(close_timeout=1)

    job_id, error = run(ends, "hold_in_c", timeout=1)

    assert error.startswith("Task exceeded maximum timeout value (1 seconds).")
    assert "in hold_in_c" in error
    assert ends.count("crashed") == 0
    event = end_of(ends, "job_timeout")
    assert (event["job"], event["signal"], event["killed"]) == (job_id, "SIGKILL", "1")
    assert "in hold_in_c" in event["stack"]


@pytest.mark.parametrize(
    "function", ["ignore_everything", pytest.param("take_over_the_dump_signal", marks=pytest.mark.slow)]
)
def test_a_job_that_swallows_everything_is_killed_and_timed_out(ends: Farm, function: str) -> None:
    ends.host(close_timeout=1)

    job_id, error = run(ends, function, timeout=1)

    assert error.startswith("Task exceeded maximum timeout value (1 seconds).")
    assert end_of(ends, "job_timeout")["job"] == job_id


@START_METHODS
def test_an_idle_process_that_is_stopped_is_unresponsive_and_replaced(ends: Farm, start_method: str) -> None:
    ends.host(ping_interval=0.2, ping_timeout=1, start_method=start_method)
    stopped = ends.wait_for(ends.queue().enqueue("ends.pid")).return_value()

    os.kill(stopped, signal.SIGSTOP)

    event = end_of(ends, "unresponsive")
    assert (event["pid"], event["phase"], event["job"]) == (str(stopped), "idle", "")
    assert ends.wait_for(ends.queue().enqueue("ends.pid")).return_value() != stopped


@pytest.mark.slow
def test_busy_code_is_not_taken_for_dead(ends: Farm) -> None:
    ends.host(ping_interval=0.1, ping_timeout=0.5)

    assert ends.wait_for(ends.queue().enqueue("ends.spin", 3)).return_value() == "done"

    assert ends.events("process.ended") == []


@pytest.mark.slow
def test_a_host_that_was_stopped_for_a_while_kills_nobody(ends: Farm) -> None:
    host = ends.host(ping_interval=0.2, ping_timeout=1, processes=2)
    before = ends.processes_at_rest(host)
    job = ends.enqueue("pause", 5)
    wait_until(lambda: ends.status(job) == "started", "the job runs")

    host.send(signal.SIGSTOP)
    with pytest.raises(AssertionError):
        wait_until(lambda: False, "three seconds are over", 3)
    host.send(signal.SIGCONT)

    assert ends.wait_for(job).return_value() == 5
    assert ends.events("process.ended") == []
    assert {process.pid for process in host.tree()} == before


def test_memory_of_what_a_job_started_counts_against_its_process(ends: Farm) -> None:
    ends.host(memory_limit_mb=250, max_crashes=1)

    job_id, error = run(ends, "grow_in_a_child")

    assert "used more memory than its limit and was killed" in error
    event = end_of(ends, "memory_limit")
    assert event["job"] == job_id
    assert int(event["peak_memory"]) > 250_000_000


@pytest.mark.parametrize(
    ("act", "settings", "reason", "said"),
    [
        ("raise RuntimeError('no database')", {}, "initialize_error", "no database"),
        pytest.param("raise SystemExit(4)", {}, "initialize_error", "SystemExit", marks=pytest.mark.slow),
        pytest.param("os._exit(4)", {}, "exited", "exited with code 4", marks=pytest.mark.slow),
        pytest.param("os.abort()", {}, "crashed", "SIGABRT", marks=pytest.mark.slow),
        pytest.param(
            "time.sleep(600)",
            {"initialize_timeout": 2},
            "initialize_timeout",
            "did not become ready in time",
            marks=pytest.mark.slow,
        ),
        ("x = bytearray(400_000_000); time.sleep(600)", {"memory_limit_mb": 250}, "memory_limit", "more memory"),
    ],
    ids=["raises", "exits", "leaves", "aborts", "hangs", "greedy"],
)
def test_a_warm_up_that_fails_has_its_reason_and_makes_the_host_wait(
    farm: Farm, user_folder: Path, tmp_path: Path, act: str, settings: dict[str, object], reason: str, said: str
) -> None:
    trouble = tmp_path / "trouble"
    trouble.touch()
    troubled(user_folder, trouble, act)
    host = farm.host(app="troubled", ready=False, **settings)

    event = end_of(farm, reason)

    assert event["phase"] == "initialize"
    assert said in event["detail"]
    assert farm.published("one")["state"] in {"starting", "unhealthy"}
    assert farm.published("one")["capacity"] == "0"
    wait_until(lambda: said in host.says, "the log says so")
    trouble.unlink()
    farm.wait_for_state("one", "available", timeout=60)


def test_a_host_whose_warm_ups_fail_is_unhealthy_hands_its_jobs_back_and_recovers_by_itself(
    farm: Farm, user_folder: Path, tmp_path: Path
) -> None:
    trouble = tmp_path / "trouble"
    troubled(user_folder, trouble, "raise RuntimeError('the database is away')")
    farm.host(app="troubled", start_method="spawn")
    warm = farm.enqueue("process_id")
    pid = farm.wait_for(warm).return_value()

    trouble.touch()
    os.kill(pid, signal.SIGKILL)
    job = farm.enqueue("add", 1, 2)

    farm.wait_for_state("one", "unhealthy", timeout=60)
    assert "RuntimeError: the database is away" in farm.published("one")["reason"]
    wait_until(lambda: farm.waiting() == [job.id], "the job waits in its queue again")
    assert farm.status(job) == "queued"
    trouble.unlink()
    assert farm.wait_for(job, timeout=60).return_value() == 3
    assert farm.published("one")["state"] == "available"


def test_normal_ends_make_no_event(ends: Farm) -> None:
    host = ends.host(max_jobs_per_process=1, log_level="debug")
    for _ in range(2):
        ends.wait_for(ends.queue().enqueue("ends.pid"))
    with farm_host("one", ends.url) as handle:
        wait_until(lambda: [(one.number, one.state) for one in handle.processes] == [(3, "ready")], "the third is warm")
    host.stop()

    assert "was recycled" in host.says
    assert "was closed, the host drains" in host.says
    assert ends.events("process.ended") == []
