"""Each way to end has its one reason, with the facts: what is told of it, and where."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from farm_worker.endings import from_process_end
from farm_worker.events import MAX_DETAIL, process_fields
from farm_worker.pool.autopsy import end_reason
from farm_worker.pool.reasons import EXPECTED, Phase, ProcessEnd, Reason
from farm_worker.pool.stacks import MAX_CHARACTERS, arrange
from tests.pool.conftest import Watched, job, ready, until
from tests.support.outcomes import error

END = ProcessEnd(
    reason=Reason.CRASHED,
    pid=7,
    number=3,
    phase=Phase.JOB,
    exit_code=None,
    signal="SIGSEGV",
    age=60.0,
    jobs_done=2,
    last_memory=50_000_000,
    peak_memory=90_000_000,
    job_id="job-1",
    job_seconds=4.2,
    function="shop.bill",
    queue="default",
    attempt=2,
    stack="Fatal Python error: Segmentation fault\n\nCurrent thread 0x1:\n  File shop.py",
    last_lines=("billing 7", "billing 8"),
)


def changed(**facts: object) -> ProcessEnd:
    values = {name: getattr(END, name) for name in ProcessEnd.__slots__}
    return ProcessEnd(**(values | facts))


def test_the_report_holds_the_sentence_the_last_output_and_the_stacks() -> None:
    report = END.report()

    assert report.splitlines()[0] == END.sentence()
    assert "killed by signal 11 (SIGSEGV) while running job job-1 (shop.bill), 4.2 s after its start" in END.sentence()
    assert "memory 50 MB, at most 90 MB" in END.sentence()
    assert "Last output:\n  billing 7\n  billing 8" in report
    assert report.endswith("Current thread 0x1:\n  File shop.py")


@pytest.mark.parametrize("reason", [Reason.CRASHED, Reason.EXITED, Reason.MEMORY_LIMIT, Reason.UNRESPONSIVE])
def test_the_failure_of_a_job_tells_all_that_is_known_of_its_process(reason: Reason) -> None:
    ending = from_process_end(job(timeout=5), changed(reason=reason))

    assert ending is not None
    assert ending.kind == "crashed"
    assert "\n" not in ending.summary
    text = error(ending)
    assert text.startswith("Work-horse terminated unexpectedly; waitpid returned 11 (signal 11); process 3 (pid 7)")
    for fact in ("memory 50 MB, at most 90 MB", "billing 8", "Current thread", "shop.bill"):
        assert fact in text


def test_the_failure_of_a_job_beyond_its_timeout_says_where_it_was() -> None:
    ending = from_process_end(job(timeout=5), changed(reason=Reason.JOB_TIMEOUT))

    assert ending is not None
    assert (ending.kind, ending.summary.partition(".")[0]) == (
        "failed",
        "Task exceeded maximum timeout value (5 seconds)",
    )
    assert "File shop.py" in error(ending)


@pytest.mark.parametrize("reason", sorted({Reason.RECYCLED, Reason.SURPLUS, Reason.DRAINED, Reason.CLOSED}))
def test_nobody_is_blamed_for_what_the_host_did(reason: Reason) -> None:
    assert from_process_end(job(), changed(reason=reason)) is None
    assert reason in EXPECTED


def test_events_have_all_facts_and_are_bounded() -> None:
    fields = process_fields(changed(stack="x" * 50_000, last_lines=["y" * 5000] * 9, error="z" * 50_000))

    assert max(len(str(value)) for value in fields.values()) <= MAX_DETAIL
    assert (fields["reason"], fields["signal"], fields["function"]) == ("crashed", "SIGSEGV", "shop.bill")
    assert (fields["memory"], fields["peak_memory"]) == (50_000_000, 90_000_000)
    assert (fields["queue"], fields["attempt"], fields["job_seconds"]) == ("default", 2, 4.2)
    assert all(isinstance(value, str | int | float) for value in fields.values())


@pytest.mark.parametrize(
    ("kill", "close", "initialize_error", "code", "has_job", "reason"),
    [
        (Reason.MEMORY_LIMIT, Reason.RECYCLED, False, -9, True, Reason.MEMORY_LIMIT),
        (Reason.STOPPED, None, False, -11, True, Reason.STOPPED),
        (Reason.INITIALIZE_TIMEOUT, None, True, -9, False, Reason.INITIALIZE_TIMEOUT),
        (Reason.INITIALIZE_TIMEOUT, None, False, -12, False, Reason.INITIALIZE_TIMEOUT),
        (None, None, True, 3, False, Reason.INITIALIZE_ERROR),
        (None, Reason.SURPLUS, False, 0, False, Reason.SURPLUS),
        (None, Reason.RECYCLED, False, 0, True, Reason.EXITED),
        (None, Reason.RECYCLED, False, -9, False, Reason.CRASHED),
        (None, None, False, -9, True, Reason.CRASHED),
        (None, None, False, 0, True, Reason.EXITED),
    ],
)
def test_what_the_host_did_on_purpose_comes_before_what_looks_like_a_crash(
    kill: Reason | None, close: Reason | None, initialize_error: bool, code: int, has_job: bool, reason: Reason
) -> None:
    begun = job() if has_job else None

    assert end_reason(kill, close, initialize_error=initialize_error, code=code, begun=begun) is reason


def test_a_dump_begins_with_what_matters_without_our_own_thread_and_is_bounded() -> None:
    ours = 'Thread 0x2 (most recent call first):\n  File "/x/farm_worker/pool/attendant.py", line 1'
    other = "Thread 0x3 (most recent call first):\n  File other.py" + "\n  File deep.py" * 5000
    current = "Current thread 0x1 (most recent call first):\n  File job.py"

    text = arrange(f"Fatal Python error: Aborted\n\n{ours}\n\n{other}\n\n{current}\n")

    assert text.startswith(f"Fatal Python error: Aborted\n\n{current}\n\nThread 0x3")
    assert "attendant" not in text
    assert len(text) == MAX_CHARACTERS


@pytest.mark.usefixtures("obedient")
@pytest.mark.parametrize("name", ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGKILL", "SIGTERM", "SIGUSR1"])
def test_a_fatal_signal_is_named_and_leaves_the_stack(name: str) -> None:
    number = getattr(signal, name)

    async def scene() -> None:
        async with Watched.of(slots=2) as watched:
            await ready(watched, 2)
            others = watched.pids()
            bad = job("signal", int(number))
            watched.pool.dispatch(bad, depth=1)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, _ = watched.ends[0]
            assert (end.reason, end.signal, begun, end.killed) == (Reason.CRASHED, name, bad, False)
            assert (end.queue, end.attempt, end.jobs_done) == ("default", 1, 0)
            assert ("in work" in end.stack) == (name in {"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"})
            assert len(watched.pids() & others) == 1, "the other one is untouched"
            await ready(watched, 2)

    asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
def test_a_warm_up_that_takes_too_long_says_where_it_was() -> None:
    async def scene() -> None:
        async with Watched.of(app="hang", initialize_timeout=1.0) as watched:
            await until(lambda: watched.ends, "the process has ended")

            end = watched.ends[0][0]
            assert (end.reason, end.phase, end.killed) == (Reason.INITIALIZE_TIMEOUT, Phase.INITIALIZE, True)
            assert "in warm_up" in end.stack

    asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
def test_a_process_says_why_it_was_recycled() -> None:
    async def scene() -> None:
        async with Watched.of(max_process_age=0.4) as watched:
            await until(lambda: watched.ends, "it was recycled")
            assert "older than MAX_PROCESS_AGE" in watched.ends[0][0].sentence()
        async with Watched.of(recycle_memory_mb=5) as watched:
            await until(lambda: watched.ends, "it was recycled")
            assert "more than RECYCLE_MEMORY_MB (5)" in watched.ends[0][0].sentence()
        async with Watched.of(max_jobs_per_process=1) as watched:
            await ready(watched)
            watched.pool.dispatch(job(), depth=1)
            await until(lambda: watched.ends, "it was recycled")
            assert watched.ends[0][0].sentence().endswith("it has had all its jobs: 1")

    asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
def test_a_drain_is_told_apart_from_a_close(tmp_path: Path) -> None:
    async def scene() -> None:
        for reason in (Reason.DRAINED, Reason.CLOSED):
            watched = Watched.of(slots=2)
            watched.pool.start()
            await ready(watched, 2)
            watched.pool.dispatch(job("wait_for", tmp_path / "never"), depth=1)
            await watched.pool.close(0.3, reason)

            assert [end.reason for end, _, _ in watched.ends] == [reason, reason]

    asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
def test_a_kill_while_the_kernel_runs_out_of_memory_is_hinted_at(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            monkeypatch.setattr(watched.pool._supervision._oom_kills, "news", lambda: 1)
            os.kill(watched.pool.processes[0].pid, signal.SIGKILL)
            await until(lambda: watched.ends, "it has ended")

            assert watched.ends[0][0].hint
            assert "the kernel killed for want of memory" in watched.ends[0][0].sentence()

    asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
def test_when_all_idle_processes_are_killed_the_next_job_runs_and_the_pool_is_full_again() -> None:
    async def scene() -> None:
        async with Watched.of(slots=2) as watched:
            await ready(watched, 2)
            for pid in watched.pids():
                os.kill(pid, signal.SIGKILL)
            killed_at = time.monotonic()
            await until(lambda: len(watched.ends) == 2, "both ends are noticed")
            late = job()
            await until(lambda: watched.pool.dispatch(late, depth=1), "a process takes the job")
            await until(lambda: watched.outcomes, "the job ran")
            await ready(watched, 2)

            assert time.monotonic() - killed_at < 10
            assert {(end.reason, end.signal) for end, _, _ in watched.ends} == {(Reason.CRASHED, "SIGKILL")}

    asyncio.run(scene())
