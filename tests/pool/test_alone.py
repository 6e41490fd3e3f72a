"""A job that ended a process before gets one to itself."""

import asyncio
import itertools
from collections import deque
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from farm_worker.pool.assignment import Assignment
from farm_worker.pool.reasons import Reason
from farm_worker.pool.state import State
from tests.pool.conftest import Watched, job, ready, until
from tests.support.own_pool import OwnPool

numbers = itertools.count(1)

APP = """
def meet(here, other):
    open(here, "w").close()
    while not os.path.exists(other):
        time.sleep(0.005)
    return os.getpid()

def pid():
    return os.getpid()
"""


def alone(assignment: Assignment) -> Assignment:
    assignment.alone = True
    return assignment


@pytest.mark.usefixtures("obedient")
class TestInAPoolOfProcesses:
    def test_a_job_that_has_to_be_alone_waits_for_a_process_without_any(self, tmp_path: Path) -> None:
        go = tmp_path / "go"

        async def scene() -> None:
            async with Watched.of(slots=1) as watched:
                await ready(watched)
                first, second = job("wait_for", go), alone(job())
                assert watched.pool.dispatch(first, depth=8)
                assert not watched.pool.dispatch(second, depth=8), "there is a job in the only process"
                go.touch()
                await until(lambda: watched.pool.idle, "that has ended")
                assert watched.pool.dispatch(second, depth=8)
                await until(lambda: len(watched.outcomes) == 2, "both have ended")

        asyncio.run(scene())

    def test_no_job_is_sent_after_it_and_its_process_is_recycled(self, tmp_path: Path) -> None:
        go = tmp_path / "go"

        async def scene() -> None:
            async with Watched.of(slots=1) as watched:
                await ready(watched)
                (pid,) = watched.pids()
                assert watched.pool.dispatch(alone(job("wait_for", go)), depth=8)
                assert watched.pool.room(8) == 0
                assert not watched.pool.dispatch(job(), depth=8)
                go.touch()
                await until(lambda: watched.ends, "its process has ended")
                ((end, begun, unbegun),) = watched.ends
                assert (end.reason, end.pid, begun, unbegun) == (Reason.RECYCLED, pid, None, [])
                assert "alone" in end.error
                await ready(watched)
                assert watched.pool.dispatch(job(), depth=8)
                await until(lambda: len(watched.outcomes) == 2, "the next one ran elsewhere")

        asyncio.run(scene())

    def test_its_crash_is_its_own(self) -> None:
        async def scene() -> None:
            async with Watched.of(slots=2) as watched:
                await ready(watched, 2)
                guilty = alone(job("signal", 11))
                assert watched.pool.dispatch(guilty, depth=8)
                others = [job() for _ in range(4)]
                assert all(watched.pool.dispatch(one, depth=8) for one in others)
                await until(lambda: watched.ends and len(watched.outcomes) == 4, "all have ended")
                ((end, begun, unbegun),) = watched.ends
                assert (end.reason, end.signal, begun, unbegun) == (Reason.CRASHED, "SIGSEGV", guilty, [])

        asyncio.run(scene())


@pytest.mark.usefixtures("obedient")
@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.sampled_from(["end", "crash", "exit", "answer and die", "alone", "alone, crash"]), max_size=14))
def test_blame_falls_on_jobs_that_had_begun_and_not_ended_and_every_job_is_accounted_for(kinds: list[str]) -> None:
    makers = {
        "end": lambda: job("", next(numbers)),
        "crash": lambda: job("signal", 9),
        "exit": lambda: job("exit", 0),
        "answer and die": lambda: job("answer_and_die"),
        "alone": lambda: alone(job()),
        "alone, crash": lambda: alone(job("signal", 11)),
    }
    jobs = {assignment.job_id: (kind, assignment) for kind in kinds for assignment in [makers[kind]()]}
    guilty = {job_id for job_id, (kind, _) in jobs.items() if kind in ("crash", "exit", "alone, crash")}

    async def scene() -> None:
        async with Watched.of(slots=2) as watched:
            waiting = deque(assignment for _, assignment in jobs.values())
            seen = 0

            def settled() -> bool:
                nonlocal seen
                for _, _, unbegun in watched.ends[seen:]:
                    waiting.extendleft(reversed(unbegun))
                seen = len(watched.ends)
                while waiting and watched.pool.dispatch(waiting[0], depth=4):
                    waiting.popleft()
                for handle in watched.pool.processes:
                    held = handle.assignments
                    assert len(held) < 2 or not any(one.alone for one in held), "it has company"
                blamed = {begun.job_id for _, begun, _ in watched.ends if begun is not None}
                assert blamed <= guilty
                return len(watched.outcomes) + len(blamed) == len(jobs)

            await until(settled, "all jobs are accounted for", 60)
            done = watched.done()
            assert sorted(done) == sorted(jobs.keys() - guilty), "each of the others ended, once"

    asyncio.run(scene())


class TestInAPoolOfThreads:
    @pytest.fixture
    def own(self, redis_client: redis.Redis, redis_url: str, tmp_path: Path) -> OwnPool:
        own = OwnPool(redis_client, redis_url, tmp_path)
        own.write(APP)
        return own

    def test_a_job_that_has_to_be_alone_runs_in_a_process_apart_while_the_threads_go_on(self, own: OwnPool) -> None:
        paths = [str(own.folder / name) for name in "ab"]

        async def scene() -> None:
            async with own.pool(slots=3, executor="thread") as watched:
                await ready(watched, 3)
                (shared,) = watched.pids()
                first, second = own.job("meet", *paths), own.job("meet", *reversed(paths))
                lonely = alone(own.job("pid"))
                assert watched.pool.dispatch(first, depth=8)
                assert not watched.pool.dispatch(lonely, depth=8), "its process has to warm up first"
                await until(lambda: any(one.solitary for one in watched.pool.processes), "it does")
                assert not watched.pool.dispatch(lonely, depth=8)
                assert sum(one.solitary for one in watched.pool.processes) == 1
                await until(lambda: watched.pool.dispatch(lonely, depth=8), "it is warm")
                (apart,) = (one for one in watched.pool.processes if one.solitary)
                assert apart.pid != shared
                assert watched.pool.dispatch(second, depth=8)
                assert second not in apart.assignments
                await until(lambda: len(watched.outcomes) == 3 and watched.ends, "all have ended")
                ((end, begun, _),) = watched.ends
                assert (end.reason, end.pid, begun) == (Reason.RECYCLED, apart.pid, None)

        asyncio.run(scene())

    def test_the_process_apart_takes_no_other_job_and_is_closed_when_it_is_not_needed(
        self, own: OwnPool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("farm_worker.pool.staff.SURPLUS_SECONDS", 0.5)

        async def scene() -> None:
            async with own.pool(slots=1, executor="thread") as watched:
                await ready(watched)
                assert not watched.pool.dispatch(alone(own.job("pid")), depth=8)
                await until(
                    lambda: [one.state for one in watched.pool.processes if one.solitary] == [State.READY],
                    "it is warm, and the job went elsewhere",
                )
                assert (watched.pool.room(1), watched.pool.idle) == (1, 1)
                ordinary = own.job("pid")
                assert watched.pool.dispatch(ordinary, depth=1)
                assert not watched.pool.dispatch(own.job("pid"), depth=1)
                await until(lambda: watched.ends, "it was closed")
                assert watched.ends[0][0].reason is Reason.SURPLUS
                assert watched.pool.ready == 1

        asyncio.run(scene())

    def test_no_more_run_at_once_than_there_are_slots(self, own: OwnPool) -> None:
        paths = [str(own.folder / name) for name in "ab"]

        async def scene() -> None:
            async with own.pool(slots=1, executor="thread") as watched:
                await ready(watched)
                assert watched.pool.dispatch(own.job("meet", *paths), depth=1)
                lonely = alone(own.job("pid"))
                for _ in range(3):
                    assert not watched.pool.dispatch(lonely, depth=1)
                    await asyncio.sleep(0)
                (own.folder / "b").touch()
                await until(lambda: watched.pool.dispatch(lonely, depth=1), "there is a slot")
                await until(lambda: len(watched.outcomes) == 2, "both have ended")

        asyncio.run(scene())
