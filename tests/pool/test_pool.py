"""The pool: how many processes, which gets a job, what happens to those that fail."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from farm_worker.pool import process, staff
from farm_worker.pool.choosing import MAX_DEPTH
from farm_worker.pool.reasons import Phase, Reason
from tests.pool.conftest import Watched, job, ready, until

pytestmark = pytest.mark.usefixtures("obedient")


def test_processes_killed_while_idle_are_replaced() -> None:
    async def scene() -> None:
        async with Watched.of(slots=3) as watched:
            await ready(watched, 3)
            old = watched.pids()
            for pid in old:
                os.kill(pid, signal.SIGKILL)
            await until(lambda: len(watched.ends) == 3, "the three have ended")
            await ready(watched, 3)

            assert not watched.pids() & old
            assert {end.reason for end, _, _ in watched.ends} == {Reason.CRASHED}
            assert {end.phase for end, _, _ in watched.ends} == {Phase.IDLE}
            assert watched.pool.warm_failures == 0

    asyncio.run(scene())


def test_processes_that_die_idle_again_and_again_are_held_back_and_make_the_host_unhealthy() -> None:
    async def scene() -> None:
        async with Watched.of(slots=2, app="die_idle") as watched:
            await until(lambda: watched.pool.unhealthy_reason, "it is unhealthy")

            assert "exited with code 7 while idle" in str(watched.pool.unhealthy_reason)
            assert len(watched.ends) <= 10, "a few at once, then one at a time with a delay"

    asyncio.run(scene())


def test_a_process_killed_in_a_job_returns_the_others_to_the_host(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            hanging, *waiting = [job("wait_for", tmp_path / "never"), job(), job()]
            for assignment in (hanging, *waiting):
                assert watched.pool.dispatch(assignment, depth=3)
            handle = watched.pool.find(hanging.job_id)
            assert handle is not None
            await until(lambda: handle.begun is hanging, "it has begun")
            os.kill(handle.pid, signal.SIGKILL)
            await until(lambda: watched.ends, "the process has ended")

            assert watched.ends[0][1:] == (hanging, waiting)
            await ready(watched)

    asyncio.run(scene())


def test_a_warm_up_that_takes_too_long_is_killed_with_what_it_started() -> None:
    async def scene() -> None:
        async with Watched.of(app="hang", initialize_timeout=0.5) as watched:
            await until(lambda: watched.ends, "the process has ended")

            assert watched.ends[0][0].reason is Reason.INITIALIZE_TIMEOUT
            assert watched.pool.warm_failures == 1

    asyncio.run(scene())


def test_failing_warm_ups_are_held_back_and_make_the_host_unhealthy_until_one_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm_worker.pool.recycling.FIRST_DELAY_SECONDS", 0.2)
    trouble = tmp_path / "trouble"
    trouble.touch()

    async def scene() -> None:
        async with Watched.of(slots=4, app=f"fail_while:{trouble}") as watched:
            await until(lambda: watched.pool.unhealthy_reason, "it is unhealthy")

            assert "RuntimeError: no database" in str(watched.pool.unhealthy_reason)
            assert len(watched.ends) <= 4 + 2, "one round of several, then one at a time"
            trouble.unlink()
            await ready(watched, 4)
            assert watched.pool.unhealthy_reason is None

    asyncio.run(scene())


def test_only_so_many_warm_up_at_a_time() -> None:
    async def scene() -> None:
        async with Watched.of(slots=5, max_concurrent_initializations=2) as watched:
            most = 0

            def all_ready() -> bool:
                nonlocal most
                most = max(most, watched.pool.starting)
                return watched.pool.ready == 5

            await until(all_ready, "all are ready")
            assert most == 2

    asyncio.run(scene())


def test_closing_leaves_no_process_even_if_one_does_not_want_to_end(tmp_path: Path) -> None:
    async def scene() -> None:
        watched = Watched.of(slots=3)
        watched.pool.start()
        await ready(watched, 3)
        pids = watched.pids()
        hanging = job("wait_for", tmp_path / "never")
        assert watched.pool.dispatch(hanging, depth=1)
        await watched.pool.close(timeout=0.5)

        assert not watched.pool.processes
        assert sorted(begun is hanging for _, begun, _ in watched.ends) == [False, False, True]
        assert {end.reason for end, _, _ in watched.ends} == {Reason.CLOSED}
        for pid in pids:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(scene())


def test_closing_waits_for_running_jobs() -> None:
    async def scene() -> None:
        watched = Watched.of()
        watched.pool.start()
        await ready(watched)
        running = job("sleep", 0.3)
        watched.pool.dispatch(running, depth=1)
        await watched.pool.close(timeout=20)

        assert watched.done() == [running.job_id]

    asyncio.run(scene())


def test_a_process_whose_teardown_hangs_is_killed() -> None:
    async def scene() -> None:
        async with Watched.of(app="slow_end", close_timeout=0.2, max_jobs_per_process=1) as watched:
            await ready(watched)
            watched.pool.dispatch(job(), depth=1)
            await until(lambda: watched.ends, "the process has ended")

            end = watched.ends[0][0]
            assert (end.reason, end.phase, end.signal) == (Reason.RECYCLED, Phase.CLOSING, "SIGKILL")

    asyncio.run(scene())


def test_a_process_that_stops_speaking_is_killed() -> None:
    async def scene() -> None:
        async with Watched.of(app="mute", close_timeout=0.2) as watched:
            await until(lambda: watched.ends, "the process has ended")

            assert watched.ends[0][0].reason is Reason.UNRESPONSIVE

    asyncio.run(scene())


def test_a_job_beyond_its_timeout_and_grace_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.2)

    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            overdue, waiting = job("start_and_hang", tmp_path / "pid", timeout=0.3), job()
            watched.pool.dispatch(overdue, depth=2)
            watched.pool.dispatch(waiting, depth=2)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, unbegun = watched.ends[0]
            assert (end.reason, begun, unbegun) == (Reason.JOB_TIMEOUT, overdue, [waiting])

    asyncio.run(scene())


def test_a_host_that_stood_still_blames_no_job_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HARD_KILL_GRACE_SECONDS", 0.5)

    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            slow = job("sleep", 2.0, timeout=1.0)
            watched.pool.dispatch(slow, depth=1)
            await asyncio.sleep(0.01)  # it is sent
            _stand_still(1.8)
            await until(lambda: watched.outcomes or watched.ends, "it has ended")

            assert watched.done() == [slow.job_id]

    asyncio.run(scene())


def test_idle_processes_come_first_and_then_the_one_with_the_fewest_jobs(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of(slots=2) as watched:
            await ready(watched, 2)
            assert watched.pool.room(3) == 6
            for expected in (5, 4, 3, 2, 1, 0):
                assert watched.pool.dispatch(job("wait_for", gate), depth=3)
                assert watched.pool.room(3) == expected
                held = [len(handle.assignments) for handle in watched.pool.processes]
                assert max(held) - min(held) <= 1

            assert not watched.pool.dispatch(job(), depth=3)
            assert watched.pool.room(MAX_DEPTH + 100) == 2 * (MAX_DEPTH - 3)
            gate.touch()
            await until(lambda: len(watched.outcomes) == 6, "all are done")

    asyncio.run(scene())


def test_old_unbegun_jobs_are_taken_back_in_order(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of(slots=2) as watched:
            await ready(watched, 2)
            jobs = [job("wait_for", gate) for _ in range(6)]
            for assignment in jobs:
                watched.pool.dispatch(assignment, depth=3)
            await until(lambda: all(handle.begun for handle in watched.pool.processes), "two have begun")

            assert watched.pool.take_back(older_than=60) == []
            assert watched.pool.take_back(older_than=0) == jobs[2:]
            assert watched.pool.take_back(older_than=None) == []
            gate.touch()
            await until(lambda: len(watched.outcomes) == 2, "the begun ones are done")

    asyncio.run(scene())


def test_stopping_a_job_kills_no_other(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            running, waiting = job("wait_for", tmp_path / "never"), job()
            watched.pool.dispatch(running, depth=2)
            watched.pool.dispatch(waiting, depth=2)
            await until(lambda: watched.pool.processes[0].begun is running, "the first has begun")

            assert not watched.pool.kill_job(waiting.job_id, Reason.STOPPED)
            assert not watched.pool.kill_job(b"unknown", Reason.STOPPED)
            assert watched.pool.kill_job(running.job_id, Reason.STOPPED)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, unbegun = watched.ends[0]
            assert (end.reason, begun, unbegun) == (Reason.STOPPED, running, [waiting])

    asyncio.run(scene())


def test_in_fresh_mode_each_job_has_its_own_process() -> None:
    async def scene() -> None:
        async with Watched.of(slots=2, process_mode="fresh") as watched:
            for number in range(5):
                await until(lambda: watched.pool.room(10), "a process is ready")
                assert watched.pool.dispatch(job(), depth=10)
                await until(lambda expected=number + 1: len(watched.outcomes) == expected, "it is done")
            await until(lambda: len(watched.ends) >= 5, "their processes have ended")

            assert [end.jobs_done for end, _, _ in watched.ends] == [1] * 5
            assert {end.reason for end, _, _ in watched.ends} == {Reason.RECYCLED}

    asyncio.run(scene())


def test_room_and_dispatch_respect_how_many_jobs_a_process_may_have(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of(max_jobs_per_process=3) as watched:
            await ready(watched)
            assert watched.pool.room(10) == 3
            sent = 0
            while watched.pool.dispatch(job(), depth=10):
                sent += 1

            assert sent == 3
            await until(lambda: len(watched.outcomes) == 3 and len(watched.ends) == 1, "it was recycled")
            await ready(watched)

    asyncio.run(scene())


def test_old_processes_are_recycled_between_jobs() -> None:
    async def scene() -> None:
        async with Watched.of(max_process_age=0.5) as watched:
            await until(lambda: len(watched.ends) >= 2, "two were recycled")

            assert {end.reason for end, _, _ in watched.ends} == {Reason.RECYCLED}

    asyncio.run(scene())


def test_a_process_above_its_memory_limit_is_killed_and_says_how_much_it_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("farm_worker.pool.supervision.MEMORY_INTERVAL_SECONDS", 0.1)

    async def scene() -> None:
        async with Watched.of(slots=2, memory_warn_mb=1, memory_limit_mb=200) as watched:
            await ready(watched, 2)
            greedy = job("grow", 300_000_000)
            watched.pool.dispatch(greedy, depth=1)
            await until(lambda: watched.ends, "the process has ended")

            end, begun, _ = watched.ends[0]
            assert (end.reason, begun) == (Reason.MEMORY_LIMIT, greedy)
            assert (end.last_memory or 0) > 200_000_000
            assert len(watched.ends) == 1

    asyncio.run(scene())
    assert "more than MEMORY_WARN_MB" in caplog.text


def test_a_reload_replaces_all_processes_and_stays_ready(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of(slots=3) as watched:
            await ready(watched, 3)
            old = watched.pids()
            running = job("wait_for", gate)
            watched.pool.dispatch(running, depth=1)
            least = 3

            def replaced() -> bool:
                nonlocal least
                least = min(least, watched.pool.ready)
                return len(watched.ends) == 2 and watched.pool.ready >= 2

            watched.pool.recycle()
            await until(replaced, "the idle ones are replaced")
            assert least >= 2
            assert watched.pool.busy == 1
            gate.touch()
            await until(lambda: len(watched.ends) == 3, "the busy one ended after its job")
            await ready(watched, 3)

            assert watched.done() == [running.job_id]
            assert not watched.pids() & old
            assert {end.reason for end, _, _ in watched.ends} == {Reason.RECYCLED}

    asyncio.run(scene())


def test_processes_come_with_demand_and_surplus_ones_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(staff, "SURPLUS_SECONDS", 0.2)

    async def scene() -> None:
        gate = tmp_path / "gate"
        async with Watched.of(slots=3, idle=1) as watched:
            await ready(watched)
            for expected in (2, 3, 3):
                await until(lambda: watched.pool.room(1), "there is room")
                assert watched.pool.dispatch(job("wait_for", gate), depth=1)
                await until(lambda count=expected: watched.pool.ready == count, "one more is kept warm")
            gate.touch()
            await until(lambda: len(watched.ends) == 2, "the surplus is gone")

            assert watched.pool.ready == 1
            assert {end.reason for end, _, _ in watched.ends} == {Reason.SURPLUS}

    asyncio.run(scene())


def test_a_target_set_by_hand_holds_at_once_both_ways() -> None:
    async def scene() -> None:
        async with Watched.of(slots=4, idle=1) as watched:
            await ready(watched)
            oldest = watched.pool.processes[0]
            watched.pool.idle_target = 4
            await ready(watched, 4)
            watched.pool.idle_target = 1
            await until(lambda: len(watched.ends) == 3, "the surplus is gone")

            assert watched.pool.processes == (oldest,)
            assert {end.reason for end, _, _ in watched.ends} == {Reason.SURPLUS}

    asyncio.run(scene())


def test_processes_that_still_warm_up_go_before_warm_ones() -> None:
    async def scene() -> None:
        async with Watched.of(slots=3, idle=1) as watched:
            await ready(watched)
            warm = watched.pool.processes[0]
            watched.app = "hang"
            watched.pool.idle_target = 3
            await until(lambda: watched.pool.starting == 2, "two warm up")
            watched.pool.idle_target = 1
            await until(lambda: len(watched.ends) == 2, "the surplus is gone")

            assert watched.pool.processes == (warm,)
            assert not any(end.abnormal for end, _, _ in watched.ends)

    asyncio.run(scene())


def test_a_pool_without_idle_processes_starts_one_when_a_job_wants_it() -> None:
    async def scene() -> None:
        async with Watched.of(slots=2, idle=0) as watched:
            await asyncio.sleep(0)
            assert not watched.pool.processes
            assert not watched.pool.dispatch(job(), depth=1)
            await ready(watched)
            assert watched.pool.dispatch(job(), depth=1)
            await until(lambda: watched.outcomes, "it is done")

    asyncio.run(scene())


def test_output_of_jobs_blocks_nothing() -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            watched.pool.dispatch(job("print", 3_000_000), depth=1)
            await until(lambda: watched.outcomes, "it is done")

    asyncio.run(scene())


def _stand_still(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
