"""One process: what is given, what comes back, and what is known after its end."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm_worker.pool import spawn as spawn_module
from farm_worker.pool.assignment import Assignment
from farm_worker.pool.burst import Stretch
from farm_worker.pool.hearing import LEAST_SECONDS
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.process import ProcessHandle
from farm_worker.pool.protocol import Output
from farm_worker.pool.reasons import EXPECTED, Phase, ProcessEnd, Reason
from farm_worker.pool.recycling import Lifespan
from farm_worker.pool.spawn import spawn
from farm_worker.pool.starter import Spawner
from farm_worker.pool.state import State
from tests.pool.conftest import initialize, job, until
from tests.support.outcomes import written

pytestmark = pytest.mark.usefixtures("obedient")
UNLIMITED = Lifespan(jobs=None, age=None, memory=None)


class Process:
    """A handle, and what it reports."""

    def __init__(self, app: str | None = None, lifespan: Lifespan = UNLIMITED) -> None:
        self.outcomes: list[tuple[Assignment, Outcome]] = []
        self.end: tuple[ProcessEnd, Assignment | None, list[Assignment]] | None = None
        self.order: list[str] = []
        self.said: list[str] = []
        self.handle = ProcessHandle(
            initialize(1, app), self, lifespan=lifespan, initialize_timeout=60, close_timeout=10, starter=Spawner(None)
        )
        self._sequence = 0

    def on_created(self, process: ProcessHandle) -> None:
        self.order.append("created")
        assert process.pid == 0

    def on_started(self, process: ProcessHandle) -> None:
        self.order.append("started")
        assert process.pid > 0

    def on_ready(self, process: ProcessHandle) -> None:
        self.order.append("ready")

    def on_outcomes(self, process: ProcessHandle, outcomes: list[tuple[Assignment, Outcome]]) -> None:
        self.order.append("outcomes")
        self.outcomes += outcomes

    def on_used(self, jobs: Sequence[Stretch], assignment: Assignment, outcome: Outcome) -> None:
        pass

    def on_output(self, process: ProcessHandle, assignment: Assignment | None, output: Output) -> None:
        self.said.append(output.text)

    def on_end(
        self, process: ProcessHandle, end: ProcessEnd, begun: Assignment | None, unbegun: list[Assignment]
    ) -> None:
        self.order.append("end")
        self.end = (end, begun, unbegun)

    async def ready(self) -> None:
        await until(lambda: self.handle.state is State.READY, "the process is ready")

    async def ended(self) -> tuple[ProcessEnd, Assignment | None, list[Assignment]]:
        await until(lambda: self.end is not None, "the process has ended")
        assert self.end is not None
        return self.end

    def dispatch(self, *jobs: Assignment) -> None:
        for assignment in jobs:
            self._sequence += 1
            assignment.sequence = self._sequence
            self.handle.dispatch(assignment)
        self._look_later()

    def _look_later(self) -> None:
        """As the pool does: a process with several jobs is heard when somebody looks."""
        if self.handle.is_quiet:
            asyncio.get_running_loop().call_later(LEAST_SECONDS, self._look)

    def _look(self) -> None:
        self.handle.look()
        self._look_later()


def test_jobs_end_in_the_order_of_their_dispatch() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        jobs = [job(data=b"x" * size) for size in range(50)]
        process.dispatch(*jobs)
        await until(lambda: len(process.outcomes) == 50, "all are done")

        assert [assignment for assignment, _ in process.outcomes] == jobs
        assert [written(outcome).result for _, outcome in process.outcomes] == [b"%d" % size for size in range(50)]
        assert all(assignment.begun_at is not None for assignment in jobs)
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


def test_what_a_job_says_last_of_its_progress_is_kept_within_bounds() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        talkative, silent = job("say"), job()
        process.dispatch(talkative, silent)
        await until(lambda: len(process.outcomes) == 2, "both are done")

        assert talkative.progress is not None
        assert talkative.progress.fraction == 1.0
        assert len(talkative.progress.text) == 1000
        assert silent.progress is None
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


def test_a_process_that_crashes_is_blamed_on_the_job_begun_and_returns_the_others_in_order() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        first, bad, *rest = [job(), job("signal", int(signal.SIGSEGV)), job(), job(), job()]
        process.dispatch(first, bad, *rest)
        end, begun, unbegun = await process.ended()

        assert [assignment for assignment, _ in process.outcomes] == [first]
        assert begun is bad
        assert unbegun == rest
        assert (end.reason, end.phase, end.signal, end.exit_code) == (Reason.CRASHED, Phase.JOB, "SIGSEGV", None)
        assert f"was killed by signal 11 (SIGSEGV) while running job {bad.job_id.decode()}" in end.sentence()

    asyncio.run(scene())


def test_a_job_that_exits_the_process_is_told_apart_from_a_crash() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        process.dispatch(job("exit", 3))
        end, begun, unbegun = await process.ended()

        assert (end.reason, end.exit_code, end.signal) == (Reason.EXITED, 3, None)
        assert begun is not None
        assert unbegun == []

    asyncio.run(scene())


def test_an_outcome_written_before_death_is_not_lost() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        answered, waiting = job("answer_and_die"), job()
        process.dispatch(answered, waiting)
        _, begun, unbegun = await process.ended()

        assert [assignment for assignment, _ in process.outcomes] == [answered]
        assert begun is None
        assert unbegun == [waiting]
        assert process.order == ["created", "started", "ready", "outcomes", "end"]

    asyncio.run(scene())


def test_jobs_that_were_not_begun_can_be_taken_back_and_the_begun_one_goes_on(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        process = Process()
        await process.ready()
        begun, *waiting = [job("wait_for", gate), job(), job()]
        process.dispatch(begun, *waiting)
        await until(lambda: process.handle.begun is begun, "the first has begun")

        assert process.handle.take_back() == waiting
        gate.touch()
        again = job()
        process.dispatch(again)
        await until(lambda: len(process.outcomes) == 2, "both are done")

        assert [assignment for assignment, _ in process.outcomes] == [begun, again]
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


def test_a_large_job_is_taken_back_while_its_frame_is_on_its_way(tmp_path: Path) -> None:
    async def scene() -> None:
        gate = tmp_path / "gate"
        process = Process()
        await process.ready()
        begun, large, small = job("wait_for", gate), job(data=b"x" * 5_000_000), job()
        process.dispatch(begun)
        await until(lambda: process.handle.begun is begun, "the first has begun")
        process.dispatch(large, small)
        await asyncio.sleep(0.05)  # the socket takes a part of it

        assert process.handle.take_back() == [large, small]
        gate.touch()
        again = job(data=b"y" * 5_000_000)
        process.dispatch(again)
        await until(lambda: len(process.outcomes) == 2, "both are done")

        assert written(process.outcomes[1][1]).result == b"5000000"
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


def test_each_job_is_run_or_returned_however_often_jobs_are_taken_back() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        jobs = [job(data=b"x" * (number % 7 * 900)) for number in range(3000)]
        waiting, returned = deque(jobs), 0
        while waiting or process.handle.assignments:
            while waiting and len(process.handle.assignments) < 20:
                process.dispatch(waiting.popleft())
            await asyncio.sleep(0)
            back = process.handle.take_back() if len(waiting) % 3 else []
            returned += len(back)
            waiting.extendleft(reversed(back))

        done = [assignment.job_id for assignment, _ in process.outcomes]
        assert returned > 100, "the race was not run"
        assert done == [assignment.job_id for assignment in jobs]
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


@pytest.mark.parametrize("answers", range(0, 240, 20))
def test_each_job_is_run_or_returned_when_the_process_is_killed_at_any_moment(answers: int) -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        jobs = [job() for _ in range(400)]
        process.dispatch(*jobs)
        await until(lambda: len(process.outcomes) > answers, "some are done")
        process.handle.kill(Reason.STOPPED)
        end, begun, unbegun = await process.ended()

        accounted = [assignment for assignment, _ in process.outcomes] + ([begun] if begun else []) + unbegun
        assert accounted == jobs
        assert end.reason is Reason.STOPPED

    asyncio.run(scene())


def test_two_megabytes_go_to_a_job_and_back() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        payload = os.urandom(2_000_000)
        process.dispatch(*[job("echo", data=payload) for _ in range(4)])
        await until(lambda: len(process.outcomes) == 4, "all are done")

        assert all(written(outcome).result == payload for _, outcome in process.outcomes)
        process.handle.close(Reason.CLOSED)
        await process.ended()

    asyncio.run(scene())


def test_a_closed_process_runs_what_it_has_tokens_for_and_ends_by_itself() -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        process.dispatch(job("sleep", 0.05), job(data=b"x" * 3_000_000), job())
        process.handle.close(Reason.DRAINED)
        end, begun, unbegun = await process.ended()

        assert len(process.outcomes) == 3
        assert (end.reason, end.exit_code, begun, unbegun) == (Reason.DRAINED, 0, None, [])
        assert not end.abnormal

    asyncio.run(scene())


def test_a_process_takes_only_as_many_jobs_as_its_lifespan_allows() -> None:
    async def scene() -> None:
        process = Process(lifespan=Lifespan(jobs=2, age=None, memory=None))
        await process.ready()
        process.dispatch(job(), job())
        end, _, _ = await process.ended()

        assert (end.reason, end.jobs_done) == (Reason.RECYCLED, 2)

    asyncio.run(scene())


def test_a_kill_takes_along_what_the_job_started(tmp_path: Path) -> None:
    async def scene() -> None:
        process = Process()
        await process.ready()
        file = tmp_path / "pid"
        process.dispatch(job("start_and_hang", file))
        await until(file.exists, "the job has started a process")
        process.handle.kill(Reason.STOPPED)
        await process.ended()

        await until(lambda: not _lives(int(file.read_text())), "it is gone")

    asyncio.run(scene())


def test_a_process_that_sends_garbage_is_killed() -> None:
    async def scene() -> None:
        end, _, _ = await Process("garbage").ended()

        assert end.reason is Reason.CRASHED
        assert "no message" in end.sentence()

    asyncio.run(scene())


def test_the_error_of_an_initialization_is_kept() -> None:
    async def scene() -> None:
        end, _, _ = await Process("fail").ended()

        assert (end.reason, end.phase, end.error) == (
            Reason.INITIALIZE_ERROR,
            Phase.INITIALIZE,
            "RuntimeError: no database",
        )

    asyncio.run(scene())


def test_an_ended_process_leaves_no_descriptor_open() -> None:
    async def scene() -> None:
        before = len(os.listdir("/proc/self/fd"))
        process = Process()
        await process.ready()
        process.handle.close(Reason.CLOSED)
        await process.ended()

        assert len(os.listdir("/proc/self/fd")) == before

    asyncio.run(scene())


def test_without_notices_of_exits_they_are_found_by_looking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")

    async def scene() -> None:
        process = Process()
        await process.ready()
        process.dispatch(job("exit", 4))
        end, begun, _ = await process.ended()

        assert (end.exit_code, begun is not None) == (4, True)

    asyncio.run(scene())


def test_a_child_gets_no_python_path_and_no_descriptor_but_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "spy_child.py"
    module.write_text(
        "import os, socket, sys\n"
        "fds = [fd for fd in sorted(os.listdir('/proc/self/fd'), key=int) if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "told = [os.environ.get('PYTHONPATH'), sys.argv[1:], fds[3:], os.getpgrp() == os.getpid(), sys.path[0]]\n"
        "socket.socket(fileno=int(sys.argv[1])).sendall(repr(told).encode())\n"
    )
    monkeypatch.setattr("farm_worker.pool.spawn._folders_to_append", lambda: (str(tmp_path),))
    environment = {**os.environ, "PYTHONPATH": "/nowhere"}
    spawned = spawn("spy_child", output=1, environment=environment)
    spawned.process.wait(20)
    told = eval(spawned.stream.recv(4096))
    spawned.stream.close()

    assert told[0] is None
    assert told[1] == told[2], "the arguments are the open descriptors"
    assert told[3]
    assert told[4] != str(tmp_path), "the folder is at the end of the path"


def test_a_child_finds_modules_of_ours_at_the_end_of_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "farm_worker").mkdir()
    (tmp_path / "farm_worker" / "__init__.py").touch()
    (tmp_path / "other").mkdir()
    monkeypatch.undo()
    monkeypatch.setattr(sys, "path", [str(tmp_path / "other"), *sys.path, str(tmp_path)])
    spawn_module._folders_to_append.cache_clear()
    folders = spawn_module._folders_to_append()
    spawn_module._folders_to_append.cache_clear()

    assert folders[-1] == str(tmp_path)
    assert str(tmp_path / "other") not in folders
    assert not any("site-packages" in folder for folder in folders)


@given(
    reason=st.sampled_from(Reason),
    phase=st.sampled_from(Phase),
    code=st.none() | st.integers(0, 255),
    name=st.none() | st.sampled_from([number.name for number in signal.Signals]) | st.just("signal 64"),
    memory=st.none() | st.integers(0, 10**12),
    job_id=st.none() | st.text(min_size=1),
)
def test_every_end_has_a_sentence(
    reason: Reason, phase: Phase, code: int | None, name: str | None, memory: int | None, job_id: str | None
) -> None:
    end = ProcessEnd(
        reason=reason,
        pid=7,
        number=3,
        phase=phase,
        exit_code=code,
        signal=name,
        age=1.0,
        jobs_done=2,
        last_memory=memory,
        job_id=job_id,
        job_seconds=4.2 if job_id else None,
    )

    assert end.sentence().startswith("process 3 (pid 7) ")
    assert (job_id or "") in end.sentence()
    assert end.abnormal == (reason not in EXPECTED)


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
