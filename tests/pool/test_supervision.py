"""Silent, busy, stopped and greedy processes: who is killed, who is not, and what is known then."""

import asyncio
import logging
import os
import signal
import time
from pathlib import Path

import pytest

from farm_worker.pool import process as process_module
from farm_worker.pool import supervision
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.reasons import Phase, Reason
from farm_worker.pool.state import State
from tests.pool.conftest import Watched, job, ready, until

pytestmark = pytest.mark.usefixtures("obedient")
LONG = 10**13


def impatient(slots: int = 1, **settings: object) -> Watched:
    return Watched.of(slots=slots, **{"ping_interval": 0.1, "ping_timeout": 1.0} | settings)


def test_pings_are_answered_while_python_code_is_busy() -> None:
    async def scene() -> None:
        async with impatient() as watched:
            await ready(watched)
            handle = watched.pool.processes[0]
            busy = job("spin", 3)
            watched.pool.dispatch(busy, depth=1)
            answers = set()

            def ended() -> bool:
                answers.add(handle.line.last_pong_at)
                return bool(watched.outcomes)

            await until(ended, "it is done")

            assert len(answers) > 5
            assert not watched.ends

    asyncio.run(scene())


def test_a_stopped_process_is_unresponsive_busy_or_idle(tmp_path: Path) -> None:
    async def scene() -> None:
        async with impatient(slots=2) as watched:
            await ready(watched, 2)
            running = job("wait_for", tmp_path / "never")
            watched.pool.dispatch(running, depth=1)
            await asyncio.sleep(0.2)
            for pid in watched.pids():
                os.kill(pid, signal.SIGSTOP)
            await until(lambda: len(watched.ends) == 2, "both were killed")

            ends = {end.phase: (end, begun) for end, begun, _ in watched.ends}
            assert {end.reason for end, _ in ends.values()} == {Reason.UNRESPONSIVE}
            assert ends[Phase.JOB][1] is running
            assert ends[Phase.IDLE][1] is None
            assert all(end.killed for end, _ in ends.values())

    asyncio.run(scene())


def test_a_job_that_holds_the_gil_and_works_is_left_to_its_own_timeout(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(process_module, "HARD_KILL_GRACE_SECONDS", 0.5)

    async def scene() -> None:
        async with impatient(ping_timeout=0.5) as watched:
            await ready(watched)
            holding = job("hold_the_gil", LONG, timeout=3)
            watched.pool.dispatch(holding, depth=1)
            begun_at = time.monotonic()
            await until(lambda: watched.ends, "it was killed")

            end, begun, _ = watched.ends[0]
            assert time.monotonic() - begun_at > 3
            assert (end.reason, begun) == (Reason.JOB_TIMEOUT, holding)
            assert "in work" in end.stack
            assert "attendant" not in end.stack

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    warnings = [record.message for record in caplog.records if "holds the GIL" in record.message]
    assert len(warnings) == 1
    assert "its own timeout: 3 s" in warnings[0]


def test_a_job_without_timeout_that_holds_the_gil_and_works_is_not_killed() -> None:
    async def scene() -> None:
        async with impatient(ping_timeout=0.5, high_ping_threshold=0.2) as watched:
            await ready(watched)
            holding = job("hold_the_gil", 300_000_000)  # seconds
            watched.pool.dispatch(holding, depth=1)
            await until(lambda: watched.outcomes or watched.ends, "it is done", timeout=60)

            assert watched.done() == [holding.job_id]

    asyncio.run(scene())


def test_a_job_without_timeout_that_holds_the_gil_and_does_nothing_is_unresponsive() -> None:
    async def scene() -> None:
        async with impatient(ping_timeout=0.5) as watched:
            await ready(watched)
            holding = job("hold_the_gil_asleep")
            watched.pool.dispatch(holding, depth=1)
            await until(lambda: watched.ends, "it was killed")

            end, begun, _ = watched.ends[0]
            assert (end.reason, begun) == (Reason.UNRESPONSIVE, holding)
            assert "in work" in end.stack

    asyncio.run(scene())


def test_no_other_job_begins_while_a_process_tells_its_stacks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process_module, "HARD_KILL_GRACE_SECONDS", 0.1)

    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of() as watched:
            await ready(watched)
            handle = watched.pool.processes[0]
            overdue, waiting = job("wait_for", gate), job("wait_for", tmp_path / "never")
            watched.pool.dispatch(overdue, depth=2)
            watched.pool.dispatch(waiting, depth=2)
            await until(lambda: handle.begun is overdue, "it has begun")
            handle.kill(Reason.JOB_TIMEOUT)
            gate.touch()  # it ends in the last moment
            assert handle.begun is overdue
            await until(lambda: watched.ends, "it was killed")

            assert watched.done() in ([overdue.job_id], [])
            assert watched.ends[0][2] == [waiting]

    asyncio.run(scene())


def test_jobs_withdrawn_from_a_process_that_is_killed_can_be_taken_back_before_it_ends(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            handle = watched.pool.processes[0]
            running, *waiting = [job("wait_for", tmp_path / "never"), job(), job()]
            for assignment in (running, *waiting):
                watched.pool.dispatch(assignment, depth=3)
            await until(lambda: handle.begun is running, "it has begun")
            handle.kill(Reason.UNRESPONSIVE)

            assert handle.begun is running
            assert watched.pool.take_back(None) == waiting
            await until(lambda: watched.ends, "it was killed")
            assert watched.ends[0][1:] == (running, [])

    asyncio.run(scene())


def test_a_host_that_stood_still_kills_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with impatient(slots=2, high_ping_threshold=0.3) as watched:
            await ready(watched, 2)
            pids = watched.pids()
            await asyncio.sleep(0.15)
            for handle in watched.pool.processes:
                handle.line.ask(time.monotonic())
            _stand_still(2.5)
            await asyncio.sleep(2.5)

            assert watched.pids() == pids
            assert not watched.ends

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    slow = [record.message for record in caplog.records if "answered a ping after" in record.message]
    assert slow
    assert all("the host was late" in message for message in slow)


def test_a_slow_process_is_named_as_the_slow_side_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        async with impatient(ping_timeout=30, high_ping_threshold=0.3) as watched:
            await ready(watched)
            pid = watched.pool.processes[0].pid
            for _ in range(2):
                os.kill(pid, signal.SIGSTOP)
                await asyncio.sleep(0.8)
                os.kill(pid, signal.SIGCONT)
                await asyncio.sleep(0.4)

            assert not watched.ends

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())
    slow = [record.message for record in caplog.records if "answered a ping after" in record.message]
    assert len(slow) == 1
    assert slow[0].endswith("the process was late")


def test_memory_of_what_a_job_started_counts() -> None:
    async def scene() -> None:
        async with Watched.of(memory_limit_mb=200) as watched:
            await ready(watched)
            greedy = job("grow_in_a_child", 300_000_000)
            watched.pool.dispatch(greedy, depth=1)
            await until(lambda: watched.ends, "it was killed")

            end, begun, _ = watched.ends[0]
            assert (end.reason, begun) == (Reason.MEMORY_LIMIT, greedy)
            assert (end.peak_memory or 0) > 200_000_000

    asyncio.run(scene())


def test_a_process_above_the_warning_line_is_told_of_and_lives_on(caplog: pytest.LogCaptureFixture) -> None:
    def times_told() -> int:
        return len([record for record in caplog.records if "more than MEMORY_WARN_MB" in record.message])

    async def scene() -> None:
        async with Watched.of(memory_warn_mb=100) as watched:
            await ready(watched)
            watched.pool.dispatch(job("grow", 150_000_000), depth=1)
            handle = watched.pool.processes[0]
            await until(lambda: (handle.last_memory or 0) > 150_000_000, "it has grown")
            await until(times_told, "it is told")
            told = times_told()  # twice, if it was also seen while it grew
            await asyncio.sleep(2 * supervision.MEMORY_INTERVAL_SECONDS)

            assert times_told() == told
            assert not watched.ends

    with caplog.at_level(logging.WARNING):
        asyncio.run(scene())


def test_memory_is_watched_while_a_process_warms_up() -> None:
    async def scene() -> None:
        async with Watched.of(app="grow:300000000", memory_limit_mb=200) as watched:
            await until(lambda: watched.ends, "it was killed")

            end = watched.ends[0][0]
            assert (end.reason, end.phase) == (Reason.MEMORY_LIMIT, Phase.INITIALIZE)
            assert watched.pool.warm_failures == 1

    asyncio.run(scene())


def test_a_process_that_kill_does_not_end_is_given_up_and_replaced(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(supervision, "STUCK_SECONDS", 0.5)
    stuck_pids: set[int] = set()
    really_kill = os.killpg

    def kernel_holds(pid: int, number: int) -> None:
        if pid not in stuck_pids:
            really_kill(pid, number)

    monkeypatch.setattr(os, "killpg", kernel_holds)

    async def scene() -> None:
        async with Watched.of(slots=1) as watched:
            await ready(watched)
            handle = watched.pool.processes[0]
            running, waiting = job("wait_for", tmp_path / "never"), job()
            watched.pool.dispatch(running, depth=2)
            watched.pool.dispatch(waiting, depth=2)
            await until(lambda: handle.begun is running, "it has begun")
            stuck_pids.add(handle.pid)
            handle.kill(Reason.STOPPED)
            await until(lambda: watched.ends, "it was given up")

            end, begun, unbegun = watched.ends[0]
            assert (end.reason, end.stuck, end.abnormal) == (Reason.STOPPED, True, True)
            assert "the kernel holds it" in end.sentence()
            assert (begun, unbegun) == (running, [waiting])
            await ready(watched)
            assert handle.pid not in watched.pids()
            stuck_pids.clear()
            really_kill(handle.pid, signal.SIGKILL)
            await until(lambda: not _lives(handle.pid), "it is collected when it ends after all")
            assert len(watched.ends) == 1

    asyncio.run(scene())


def test_a_close_does_not_wait_for_ever_for_what_the_kernel_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("farm_worker.pool.pool.KILLED_WAIT_SECONDS", 0.5)
    really_kill = os.killpg
    monkeypatch.setattr(os, "killpg", lambda *_: None)

    async def scene() -> None:
        watched = Watched.of(slots=1)
        watched.pool.start()
        await ready(watched)
        pid = watched.pool.processes[0].pid
        running = job("wait_for", tmp_path / "never")
        watched.pool.dispatch(running, depth=1)
        await asyncio.sleep(0.2)
        try:
            await watched.pool.close(0.2, Reason.DRAINED)

            end, begun, _ = watched.ends[0]
            assert (end.reason, end.stuck, begun) == (Reason.DRAINED, True, running)
            assert not watched.pool.processes
        finally:
            really_kill(pid, signal.SIGKILL)
            await until(lambda: not _lives(pid), "it is gone")

    asyncio.run(scene())


def test_a_cancel_reaches_only_the_job_that_has_begun(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of() as watched:
            await ready(watched)
            handle: ProcessHandle = watched.pool.processes[0]
            running, waiting = job("wait_for", gate), job()
            watched.pool.dispatch(running, depth=2)
            watched.pool.dispatch(waiting, depth=2)
            await until(lambda: handle.begun is running, "it has begun")

            assert handle.cancel(running.job_id, "not needed")
            assert not handle.cancel(waiting.job_id, "not needed")
            assert not handle.cancel(b"unknown", "not needed")
            gate.touch()
            await until(lambda: len(watched.outcomes) == 2, "a job that takes no notice goes on")
            assert handle.state is State.READY

    asyncio.run(scene())


def _stand_still(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def _lives(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}/stat") and " Z " not in Path(f"/proc/{pid}/stat").read_text()
