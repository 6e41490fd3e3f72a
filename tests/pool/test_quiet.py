"""Processes with several jobs: frames hold many jobs, and what is said of them is heard a little later, but always."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.pool.conftest import Watched, job, ready, until

pytestmark = pytest.mark.usefixtures("obedient")


def test_outcomes_of_a_process_with_several_jobs_are_heard_though_nobody_looks() -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            jobs = [job() for _ in range(50)]
            for assignment in jobs:
                assert watched.pool.dispatch(assignment, depth=50)
            assert watched.pool.processes[0].is_quiet
            await until(lambda: len(watched.outcomes) == 50, "all are heard", 5)

            assert watched.done() == [assignment.job_id for assignment in jobs]
            assert not watched.pool.processes[0].is_quiet, "with one job or none it is heard at once"

    asyncio.run(scene())


def test_outcomes_are_heard_while_a_long_job_keeps_the_others_waiting(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            first, second, long, last = job(), job(), job("wait_for", tmp_path / "gate"), job()
            for assignment in (first, second, long, last):
                assert watched.pool.dispatch(assignment, depth=4)
            await until(lambda: watched.done() == [first.job_id, second.job_id], "the short ones are heard", 5)
            (tmp_path / "gate").touch()
            await until(lambda: len(watched.outcomes) == 4, "the others are heard", 5)

    asyncio.run(scene())


def test_several_quiet_processes_are_all_heard() -> None:
    async def scene() -> None:
        async with Watched.of(slots=3) as watched:
            await ready(watched, 3)
            for number in range(90):
                assert watched.pool.dispatch(job("sleep", 0.001 * (number % 3)), depth=30)
            assert all(process.is_quiet for process in watched.pool.processes)
            await until(lambda: len(watched.outcomes) == 90, "all are heard", 10)
            assert watched.pool.busy == 0

    asyncio.run(scene())


def test_a_process_killed_amid_a_frame_gives_back_exactly_what_it_did_not_end(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            done = [job() for _ in range(20)]
            hanging = job("wait_for", tmp_path / "never")
            waiting = [job() for _ in range(20)]
            for assignment in (*done, hanging, *waiting):
                assert watched.pool.dispatch(assignment, depth=100)
            handle = watched.pool.processes[0]
            await until(lambda: handle.begun is hanging, "it is in the middle")
            os.kill(handle.pid, signal.SIGKILL)
            await until(lambda: watched.ends, "the process has ended")

            assert watched.done() == [assignment.job_id for assignment in done]
            assert watched.ends[0][1:] == (hanging, waiting)
            await ready(watched)
            for assignment in waiting:
                assert watched.pool.dispatch(assignment, depth=100)
            await until(lambda: len(watched.outcomes) == 40, "those that it had not begun run elsewhere")
            assert watched.done()[20:] == [assignment.job_id for assignment in waiting]

    asyncio.run(scene())


def test_outcomes_said_before_the_kill_count_though_nobody_had_heard_them(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            done = [job() for _ in range(5)]
            hanging, waiting = job("wait_for", tmp_path / "never"), job()
            handle = watched.pool.processes[0]
            for assignment in (*done, hanging, waiting):
                assert watched.pool.dispatch(assignment, depth=100)
            await asyncio.sleep(0)  # the frame goes out at the end of this turn
            # The loop stands still, so nothing is heard until the process is dead.
            while handle._channel.unread() > 1:
                pass
            assert watched.outcomes == []
            os.kill(handle.pid, signal.SIGKILL)
            await until(lambda: watched.ends, "the process has ended")

            assert watched.done() == [assignment.job_id for assignment in done]
            assert watched.ends[0][1:] == (hanging, [waiting])

    asyncio.run(scene())


def test_a_job_taken_back_from_the_middle_of_a_frame_is_not_run_there(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of() as watched:
            await ready(watched)
            running = job("wait_for", tmp_path / "gate")
            waiting = [job() for _ in range(30)]
            for assignment in (running, *waiting):
                assert watched.pool.dispatch(assignment, depth=100)
            await until(lambda: watched.pool.processes[0].begun is running, "it has begun")
            assert watched.pool.take_back(None) == waiting
            last = job()
            assert watched.pool.dispatch(last, depth=100)
            (tmp_path / "gate").touch()
            await until(lambda: len(watched.outcomes) == 2, "what it had and what came after is heard", 5)
            assert watched.done() == [running.job_id, last.job_id]

    asyncio.run(scene())


def test_jobs_that_are_given_together_begin_and_come_back_in_their_order(tmp_path: Path) -> None:
    async def scene() -> None:
        async with Watched.of(slots=3, idle=2) as watched:
            await ready(watched, 2)
            held = [job("wait_for", tmp_path / "gate") for _ in range(2)] + [job() for _ in range(23)]
            assert watched.pool.dispatch_many(held, depth=10) == 20
            first, second = watched.pool.processes
            assert [*first.assignments] == held[:20:2]
            assert [*second.assignments] == held[1:20:2]
            assert watched.pool.dispatch_many(held[20:], depth=10) == 0
            await until(lambda: first.begun is held[0] and second.begun is held[1], "both have begun")
            await until(lambda: watched.pool.ready == 3, "as some jobs wait, there is another process")

            assert watched.pool.take_back(None) == held[2:20]
            third = watched.pool.processes[2]
            assert watched.pool.dispatch_many(held[2:], depth=6) == 16
            assert [*third.assignments] == held[2:18:3]
            (tmp_path / "gate").touch()
            await until(lambda: len(watched.outcomes) == 18, "what was given is heard", 5)

    asyncio.run(scene())


def test_a_process_is_given_no_more_jobs_together_than_it_may_have_in_its_life() -> None:
    async def scene() -> None:
        async with Watched.of(max_jobs_per_process=3) as watched:
            await ready(watched)
            (handle,) = watched.pool.processes
            most = handle.jobs_left
            held = [job() for _ in range(10)]
            assert watched.pool.dispatch_many(held, depth=10) == most
            await until(lambda: watched.ends, "it has had all its jobs")
            assert watched.ends[0][1:] == (None, [])
            assert watched.done() == [assignment.job_id for assignment in held[:most]]

    asyncio.run(scene())
