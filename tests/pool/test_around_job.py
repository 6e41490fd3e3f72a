"""Functions of the app around its jobs: `@app.around_job`, `@app.preload`, `@app.arguments`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rq import Queue

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import InitializeFailed, JobLimit, Ready
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import error, value

APP = """
import asyncio, contextvars, os, pathlib, time
import farm
app = farm.App()
PATH = pathlib.Path(os.environ["CALLS"])

def note(text):
    with PATH.open("a") as file:
        file.write(f"{text}\\n")

"""
NESTED = """
@app.around_job
def outer(job):
    note(f"outer {job.id}")
    try:
        yield
        note("outer after")
    except RuntimeError as error:
        note(f"outer saw {error}")
        raise

@app.around_job
async def inner():
    note("inner")
    await asyncio.sleep(0)
    try:
        yield
        note("inner after")
    except RuntimeError as error:
        note(f"inner saw {error}")
        raise
"""

Start = Callable[..., ChildHarness]


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    return tmp_path / "calls"


@pytest.fixture
def start(redis_url: str, user_folder: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a process with an app of these lines."""
    monkeypatch.setenv("CALLS", str(calls))
    with ExitStack() as stack:

        def start_with(code: str, wanted: type = Ready, **values: Any) -> ChildHarness:
            (user_folder / "hooked.py").write_text(APP + code)
            path = [USER_MODULES, str(user_folder)]
            child = stack.enter_context(ChildHarness(redis_url, path=path, app="hooked", **values))
            child.first = child.receive(wanted)  # type: ignore[attr-defined]
            return child

        yield start_with


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


class TestAroundJob:
    def test_they_nest_in_the_order_of_their_declaration(self, start: Start, queue: Queue, calls: Path) -> None:
        job = queue.enqueue("jobs_under_test.add", 1, 2)
        assert value(start(NESTED).run(job)) == 3
        assert lines(calls) == [f"outer {job.id}", "inner", "inner after", "outer after"]

    def test_what_the_job_raised_is_raised_at_each_yield(self, start: Start, queue: Queue, calls: Path) -> None:
        outcome = start(NESTED).run(queue.enqueue("jobs_under_test.fail"))
        assert outcome.summary == "RuntimeError: boom"
        assert lines(calls)[2:] == ["inner saw boom", "outer saw boom"]
        assert "hooked.py" not in error(outcome)
        assert "farm_worker" not in error(outcome)

    @pytest.mark.parametrize("kind", ["def", "async def"])
    def test_one_that_swallows_the_error_does_not_undo_it(self, start: Start, queue: Queue, kind: str) -> None:
        child = start(
            f"@app.around_job\n{kind} swallow():\n    try:\n        yield\n    except BaseException:\n        pass\n"
        )
        assert child.run(queue.enqueue("jobs_under_test.fail")).summary == "RuntimeError: boom"
        assert child.run(queue.enqueue("jobs_under_test.leave")).summary.startswith("SystemExit")
        assert value(child.run(queue.enqueue("jobs_under_test.add", 1, 2))) == 3

    @pytest.mark.parametrize("kind", ["def", "async def"])
    def test_one_that_raises_before_the_job_fails_it_and_closes_the_others(
        self, start: Start, queue: Queue, calls: Path, kind: str
    ) -> None:
        child = start(NESTED + f"@app.around_job\n{kind} broken():\n    raise RuntimeError('no')\n    yield\n")
        outcome = child.run(queue.enqueue("around_jobs.append", str(calls), "the job ran"))
        assert outcome.summary == "RuntimeError: no"
        assert lines(calls)[1:] == ["inner", "inner saw no", "outer saw no"]

    @pytest.mark.parametrize("kind", ["def", "async def"])
    def test_one_that_raises_after_the_job_fails_it(self, start: Start, queue: Queue, kind: str) -> None:
        child = start(f"@app.around_job\n{kind} broken():\n    yield\n    raise LookupError('late')\n")
        assert child.run(queue.enqueue("jobs_under_test.add", 1, 2)).summary == "LookupError: late"

    def test_one_may_put_another_error_in_the_place_of_the_jobs(self, start: Start, queue: Queue) -> None:
        child = start(
            "@app.around_job\ndef translate():\n    try:\n        yield\n"
            "    except RuntimeError as error:\n        raise LookupError('better') from error\n"
        )
        outcome = child.run(queue.enqueue("jobs_under_test.fail"))
        assert outcome.summary == "LookupError: better"
        assert "RuntimeError: boom" in error(outcome)

    def test_one_that_never_yields_fails_the_job(self, start: Start, queue: Queue) -> None:
        child = start("@app.around_job\ndef early():\n    return\n    yield\n")
        outcome = child.run(queue.enqueue("jobs_under_test.add", 1, 2))
        assert outcome.summary.startswith("AppError: around_job function hooked.early ended without reaching its yield")

    def test_one_that_yields_twice_is_told_in_the_log(self, start: Start, queue: Queue) -> None:
        child = start("@app.around_job\ndef twice():\n    yield\n    yield\n")
        assert value(child.run(queue.enqueue("jobs_under_test.add", 1, 2))) == 3
        assert any("hooked.twice yields twice" in message.text for message in child.said)

    def test_shutdown_callbacks_come_before_the_second_half(self, start: Start, queue: Queue, calls: Path) -> None:
        assert start(NESTED).run(queue.enqueue("around_jobs.call_back", str(calls))).kind == "finished"
        assert lines(calls)[2:] == ["job", "async", "added first", "inner after", "outer after"]

    def test_tasks_of_an_async_one_live_as_long_as_the_job(self, start: Start, queue: Queue, calls: Path) -> None:
        child = start(
            "async def tick():\n    try:\n        await asyncio.sleep(600)\n"
            "    except asyncio.CancelledError:\n        note('cancelled')\n        raise\n\n"
            "@app.around_job\nasync def ticking():\n    task = asyncio.create_task(tick())\n"
            "    await asyncio.sleep(0)\n    yield\n    note(f'done: {task.done()}')\n"
        )
        assert child.run(queue.enqueue("jobs_under_test.double", 2)).kind == "finished"
        assert lines(calls) == ["done: False", "cancelled"]

    def test_the_time_limit_of_the_job_holds_for_what_comes_before_it(self, start: Start, queue: Queue) -> None:
        child = start("@app.around_job\ndef slow():\n    time.sleep(30)\n    yield\n")
        assert "(1 seconds)" in child.run(queue.enqueue("jobs_under_test.nothing", job_timeout=1)).summary

    def test_the_host_hears_that_what_follows_the_job_has_time_of_its_own(self, start: Start, queue: Queue) -> None:
        child = start("@app.around_job\ndef closing():\n    yield\n    time.sleep(1.2)\n")
        child.start(queue.enqueue("jobs_under_test.nothing", job_timeout=1))
        assert child.receive(JobLimit).seconds > 60
        assert child.receive(Outcome).kind == "finished"


class TestPreloadAndArguments:
    CODE = (
        "@app.preload\nasync def tables(process):\n    process.userdata['order'] = ['preload']\n\n"
        "@app.arguments\nasync def say(process):\n    process.userdata['order'].append('arguments')\n"
        "    return {'port': 9000 + process.number}\n\n"
        "@app.prewarm\ndef warm(process):\n    process.userdata['order'].append('prewarm')\n"
        "    process.userdata['arguments'] = process.arguments\n"
    )

    def test_they_come_before_prewarm(self, start: Start, queue: Queue) -> None:
        child = start(self.CODE, process=4)
        assert value(child.run(queue.enqueue("jobs_under_test.userdata", "order"))) == [
            "preload",
            "arguments",
            "prewarm",
        ]
        assert value(child.run(queue.enqueue("jobs_under_test.userdata", "arguments"))) == {"port": 9004}

    @pytest.mark.parametrize("kind", ["preload", "arguments"])
    def test_one_that_raises_keeps_the_process_from_warming(self, start: Start, kind: str) -> None:
        child = start(f"@app.{kind}\ndef broken(process):\n    1 / 0\n", InitializeFailed)
        assert f"{kind} function hooked.broken raised ZeroDivisionError" in child.first.error  # type: ignore[attr-defined]

    def test_a_preload_function_that_yields_is_refused(self, start: Start) -> None:
        child = start("@app.preload\ndef wrong():\n    yield\n", InitializeFailed)
        assert "that is for prewarm functions" in child.first.error  # type: ignore[attr-defined]


class TestHttpProxy:
    NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")

    def test_jobs_find_it_in_their_environment(
        self, start: Start, queue: Queue, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in self.NAMES:
            monkeypatch.delenv(name, raising=False)
        child = start("", http_proxy="http://proxy:3128")
        found = value(child.run(queue.enqueue("jobs_under_test.environment")))
        assert {found[name] for name in self.NAMES} == {"http://proxy:3128"}

    def test_what_the_user_set_stays(self, start: Start, queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://own:1")
        child = start("", http_proxy="http://proxy:3128")
        assert value(child.run(queue.enqueue("jobs_under_test.environment")))["HTTPS_PROXY"] == "http://own:1"
