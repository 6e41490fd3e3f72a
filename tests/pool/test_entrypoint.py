"""Jobs that name `farm.entrypoint`: enqueued by services that have none of the app's code."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rq import Queue

import farm
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import JobLimit, Ready
from tests.support.child_harness import USER_MODULES, ChildHarness
from tests.support.outcomes import error, value

APP = """
import asyncio, time
import farm
app = farm.App()

@app.prewarm
async def warm(process):
    process.userdata["loop"] = asyncio.get_running_loop()

"""
SYNC = """
@app.entrypoint
def session(job):
    return job.payload, job.id
"""
ASYNC = """
@app.entrypoint(timeout=3600)
async def session(job):
    await asyncio.sleep(0)
    return job.payload, asyncio.get_running_loop() is job.process.userdata["loop"]
"""
SHORT = """
@app.entrypoint(timeout=1)
def session():
    time.sleep(30)
"""

Start = Callable[[str], ChildHarness]


@pytest.fixture
def start(redis_url: str, user_folder: Path) -> Iterator[Start]:
    """Starts a process with an app of these lines."""
    with ExitStack() as stack:

        def start_with(code: str) -> ChildHarness:
            (user_folder / "calls.py").write_text(APP + code)
            child = stack.enter_context(ChildHarness(redis_url, path=[USER_MODULES, str(user_folder)], app="calls"))
            child.receive(Ready)
            return child

        yield start_with


@pytest.mark.parametrize(
    ("arguments", "options", "payload"),
    [(({"text": "hello"},), {}, {"text": "hello"}), ((), {"text": "hello"}, {"text": "hello"}), ((), {}, None)],
)
def test_the_payload_is_what_was_enqueued(
    start: Start, queue: Queue, arguments: tuple[Any], options: dict[str, Any], payload: Any
) -> None:
    job = queue.enqueue("farm.entrypoint", args=arguments, kwargs=options)
    assert value(start(SYNC).run(job)) == (payload, job.id)


def test_the_function_itself_is_enqueued_by_that_name(queue: Queue) -> None:
    assert queue.enqueue(farm.entrypoint, 1).func_name == "farm.entrypoint"


def test_a_coroutine_runs_on_the_loop_of_the_prewarm_functions(start: Start, queue: Queue) -> None:
    child = start(ASYNC)
    child.start(queue.enqueue("farm.entrypoint", "hello"))
    assert child.receive(JobLimit).seconds == 3600
    assert value(child.receive(Outcome)) == ("hello", True)


def test_its_timeout_takes_the_place_of_the_default_and_the_host_hears_of_it(start: Start, queue: Queue) -> None:
    child = start(SHORT)
    sequence = child.start(queue.enqueue("farm.entrypoint"))
    assert child.receive(JobLimit) == JobLimit(sequence, 1.0)
    assert child.receive(Outcome).summary == "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"


def test_a_limit_of_the_job_itself_counts_before_it(start: Start, queue: Queue) -> None:
    child = start(SHORT.replace("timeout=1", "timeout=600"))
    assert "(1 seconds)" in child.run(queue.enqueue("farm.entrypoint", job_timeout=1)).summary


def test_without_an_app_the_job_fails_and_says_what_to_do(child: ChildHarness, queue: Queue) -> None:
    text = error(child.run(queue.enqueue("farm.entrypoint")))
    assert "host host-1 has no entry point, it runs without an app" in text
    assert "start the hosts of queue default with --app" in text


def test_an_app_without_entry_point_says_so(start: Start, queue: Queue) -> None:
    assert "its app declares none" in error(start("").run(queue.enqueue("farm.entrypoint")))


def test_called_outside_of_a_job_it_says_how_it_is_used() -> None:
    with pytest.raises(farm.AppError, match="Enqueue it by name"):
        farm.entrypoint()


def test_a_service_needs_nothing_but_rq(redis_url: str, start: Start, queue: Queue) -> None:
    program = (
        "import redis, rq, sys\n"
        "queue = rq.Queue('default', connection=redis.Redis.from_url(sys.argv[1]))\n"
        "print(queue.enqueue('farm.entrypoint', {'text': 'hello'}).id)\n"
        "assert not [name for name in sys.modules if name.split('.')[0].startswith('farm')]\n"
    )
    made = subprocess.run([sys.executable, "-c", program, redis_url], capture_output=True, text=True, check=True)
    job = queue.fetch_job(made.stdout.strip())
    assert job is not None
    assert value(start(SYNC).run(job)) == ({"text": "hello"}, job.id)
