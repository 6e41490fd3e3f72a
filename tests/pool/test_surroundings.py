"""What one job leaves, and what the next one finds."""

import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from rq import Queue

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import Dirty, Ready
from farm_worker.pool.surroundings import LOOK_SECONDS
from tests.support.child_harness import PATIENCE_SECONDS, USER_MODULES, ChildHarness
from tests.support.outcomes import value
from tests.support.waiting import wait_until

EXIT_SECONDS = 5.0
"""A process with something left that can't be ended is gone within this."""


def enqueue(queue: Queue, function: str, *arguments: Any, **options: Any) -> Any:
    return queue.enqueue(f"around_jobs.{function}", args=arguments, **options)


def look(child: ChildHarness, queue: Queue) -> dict[str, Any]:
    found: dict[str, Any] = value(child.run(enqueue(queue, "look_around")))
    return found


def dirt(child: ChildHarness, queue: Queue, function: str, *arguments: Any, kind: str = "finished") -> str:
    """Why the process ends after this job, whose outcome counts all the same. It ends promptly, by itself."""
    child.start(enqueue(queue, function, *arguments))
    reason = child.receive(Dirty).reason
    assert child.receive(Outcome).kind == kind
    begun = time.monotonic()
    assert child.process.wait(PATIENCE_SECONDS) == 0
    assert time.monotonic() - begun < EXIT_SECONDS
    return reason


class TestRestored:
    def test_the_next_job_finds_all_as_it_was(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        before = look(child, queue)
        assert child.run(enqueue(queue, "change_everything", str(tmp_path))).kind == "finished"
        assert look(child, queue) == before

    def test_an_environment_that_was_replaced_is_back(self, child: ChildHarness, queue: Queue) -> None:
        before = look(child, queue)
        assert child.run(enqueue(queue, "replace_environment")).kind == "finished"
        assert look(child, queue) == before

    @pytest.mark.parametrize("function", ["redirect_output", "close_output"])
    def test_the_standard_descriptors_are_back(
        self, child: ChildHarness, queue: Queue, tmp_path: Path, function: str
    ) -> None:
        before = look(child, queue)
        arguments = [str(tmp_path / "output")] if function == "redirect_output" else []
        assert child.run(enqueue(queue, function, *arguments)).kind == "finished"
        assert look(child, queue)["output"] == before["output"]

    def test_what_python_did_not_see_is_put_back_after_some_milliseconds(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        before = look(child, queue)
        job = enqueue(queue, "change_folder_past_python", str(tmp_path), 1.5 * LOOK_SECONDS)
        assert value(child.run(job)) == str(tmp_path)
        assert look(child, queue) == before

    def test_context_variables_end_with_their_job(self, child: ChildHarness, queue: Queue) -> None:
        assert value(child.run(enqueue(queue, "set_colour", "red"))) == "none"
        assert value(child.run(enqueue(queue, "set_colour", "blue"))) == "none"

    def test_what_a_module_changes_when_it_is_imported_stays(
        self, redis_url: str, queue: Queue, user_folder: Path
    ) -> None:
        (user_folder / "configured.py").write_text(
            "import os, sys\nos.environ['CONFIGURED'] = 'yes'\nsys.path.append('/configured')\n"
            "def look():\n    return os.environ.get('CONFIGURED'), '/configured' in sys.path\n"
        )
        with ChildHarness(redis_url, path=[str(user_folder)]) as child:
            child.receive(Ready)
            for _ in range(2):
                assert value(child.run(queue.enqueue("configured.look"))) == ("yes", True)


class TestKept:
    """What is not worth a new process."""

    @pytest.mark.parametrize(
        "job",
        [
            ("leave_thread_that_ends",),
            ("leave_thread", "library"),
            ("leave_executor", False),
            ("use_default_executor",),
            ("leave_ended_child",),
        ],
    )
    def test_the_process_goes_on(self, child: ChildHarness, queue: Queue, job: tuple[Any, ...]) -> None:
        for _ in range(2):
            assert child.run(enqueue(queue, *job)).kind == "finished"
        assert child.run(enqueue(queue, "add", 1, 2)).kind == "finished"
        assert psutil.Process(child.process.pid).children() == []
        assert child.close() == 0


class TestDirty:
    def test_a_thread_that_was_left(self, child: ChildHarness, queue: Queue) -> None:
        assert "it left threads: Thread-" in dirt(child, queue, "leave_thread", None)

    def test_a_daemon_thread_of_the_jobs_own_code(self, child: ChildHarness, queue: Queue) -> None:
        assert "it left threads: Thread-" in dirt(child, queue, "leave_thread", "own")

    def test_an_executor_that_is_at_work(self, child: ChildHarness, queue: Queue) -> None:
        assert "it left threads: ThreadPoolExecutor-" in dirt(child, queue, "leave_executor", True)

    def test_work_on_the_default_executor_of_the_loop(self, child: ChildHarness, queue: Queue) -> None:
        assert "it left threads: asyncio_0" in dirt(child, queue, "leave_busy_default_executor")

    def test_a_task_that_would_not_end(self, child: ChildHarness, queue: Queue) -> None:
        reason = dirt(child, queue, "leave_stubborn_task")
        assert reason == "tasks did not end when they were cancelled: stubborn"

    def test_a_child_that_was_left_is_killed(self, child: ChildHarness, queue: Queue, tmp_path: Path) -> None:
        reason = dirt(child, queue, "leave_child", str(tmp_path / "pid"))
        pid = int((tmp_path / "pid").read_text())
        assert "it left processes, which were killed:" in reason
        assert f"time.sleep(600) (pid {pid})" in reason
        assert not psutil.pid_exists(pid)

    def test_a_daemon_with_a_session_of_its_own_is_killed(
        self, child: ChildHarness, queue: Queue, tmp_path: Path
    ) -> None:
        reason = dirt(child, queue, "leave_daemon", str(tmp_path / "pid"))
        pid = int((tmp_path / "pid").read_text())
        assert f"(pid {pid})" in reason
        assert not psutil.pid_exists(pid)

    def test_a_resource_limit_that_cannot_be_raised_again(self, child: ChildHarness, queue: Queue) -> None:
        before = value(child.run(enqueue(queue, "core_limit")))
        child.start(enqueue(queue, "lower_limit_for_good"))
        message = child.receive_any()
        if isinstance(message, Dirty):
            assert message.reason == "it lowered a resource limit for good"
        else:  # who may raise limits has it back
            assert value(child.run(enqueue(queue, "core_limit"))) == before

    def test_another_user(self, child: ChildHarness, queue: Queue) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may become another user")
        assert "it changed the user" in dirt(child, queue, "become_nobody")

    def test_it_takes_no_further_job(self, child: ChildHarness, queue: Queue) -> None:
        record: dict[bytes, bytes] = queue.connection.hgetall(enqueue(queue, "leave_thread", None).key)
        first = child.send_job(b"first", record)
        second = child.send_job(b"second", record)
        child.send_tokens(first, second)
        child.receive(Dirty)
        assert child.receive(Outcome).sequence == first
        child.process.wait(PATIENCE_SECONDS)
        assert child.take_back() == [second]


class TestWhatPrewarmStarted:
    APP = (
        "import farm, subprocess, sys, threading, time\n"
        "app = farm.App()\n"
        "@app.prewarm\n"
        "def warm(process):\n"
        "    process.userdata['child'] = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
    )

    def test_it_stays_for_all_jobs_and_ends_with_the_process(
        self, redis_url: str, queue: Queue, user_folder: Path
    ) -> None:
        (user_folder / "starting.py").write_text(self.APP)
        with ChildHarness(redis_url, path=[USER_MODULES, str(user_folder)], app="starting") as child:
            child.receive(Ready)
            (helper,) = psutil.Process(child.process.pid).children()
            for _ in range(2):
                assert child.run(enqueue(queue, "add", 1, 2)).kind == "finished"
            assert helper.is_running()
            assert "it left threads" in dirt(child, queue, "leave_thread", None)
            wait_until(lambda: not helper.is_running(), "the helper is gone")


def test_nothing_of_a_job_that_does_all_at_once_is_left(redis_url: str, queue: Queue, tmp_path: Path) -> None:
    """And what it says does not block it. The next job comes to another process here, as in a pool."""
    with ChildHarness(redis_url, path=[USER_MODULES]) as child:
        child.receive(Ready)
        reason = dirt(child, queue, "everything", str(tmp_path), 100)
        assert "threads" in reason
        assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))
