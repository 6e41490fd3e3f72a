"""A real process answers its host on the control line, whatever its job does."""

import socket
from pathlib import Path

import pytest
from rq import Queue

from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import CancelJob, FrameReader, Ping, Pong, Ready, encode
from tests.pool.conftest import USER_MODULES
from tests.support.child_harness import PATIENCE_SECONDS, ChildHarness

JOBS = """
import itertools, os, signal, time

def spin(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def break_things(seconds):
    os.closerange(3, 256)
    os.read = os.write = None
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    spin(seconds)

def use_up_memory(seconds):
    hoard = []
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (400_000_000, resource.RLIM_INFINITY))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            while True:
                hoard.append(bytearray(1_000_000))
        except MemoryError:
            time.sleep(0.01)

def wait_for_cancel(seconds):
    import farm
    until = time.monotonic() + seconds
    while time.monotonic() < until and not farm.current_job().is_cancelled:
        time.sleep(0.01)
    return farm.current_job().is_cancelled

def hold(seconds):
    sum(itertools.repeat(1, 10**13))
"""


@pytest.fixture
def folder(user_folder: Path) -> str:
    (user_folder / "attended.py").write_text(JOBS)
    return str(user_folder)


def ask(child: ChildHarness, sequence: int = 1) -> int:
    """Sends a ping. Returns the sequence of the answer."""
    control = child.lines.control
    control.setblocking(True)
    control.settimeout(PATIENCE_SECONDS)
    control.sendall(encode(Ping(sequence)))
    reader = FrameReader()
    while not (messages := reader.feed(control.recv(4096))):
        pass
    (answer,) = messages
    assert isinstance(answer, Pong)
    return answer.sequence


def test_a_process_answers_before_it_is_warm(redis_url: str, user_folder: Path) -> None:
    (user_folder / "slow_app.py").write_text(
        "import time, farm\napp = farm.App()\nuntil = time.monotonic() + 2\nwhile time.monotonic() < until: pass\n"
    )
    with ChildHarness(redis_url, path=[str(user_folder)], app="slow_app") as child:
        assert ask(child, 7) == 7
        child.stream.settimeout(0.05)
        with pytest.raises(TimeoutError):
            child.stream.recv(1, socket.MSG_PEEK)
        child.stream.settimeout(PATIENCE_SECONDS)
        child.receive(Ready)


@pytest.mark.parametrize("function", ["spin", "break_things", "use_up_memory"])
def test_a_process_answers_while_its_job_does_what_it_likes(
    redis_url: str, queue: Queue, folder: str, function: str
) -> None:
    with ChildHarness(redis_url, path=[folder]) as child:
        child.receive(Ready)
        child.start(queue.enqueue(f"attended.{function}", 2))

        assert [ask(child, sequence) for sequence in range(1, 21)] == list(range(1, 21))
        child.receive(Outcome)


def test_a_job_is_told_that_it_is_canceled(redis_url: str, queue: Queue, folder: str) -> None:
    with ChildHarness(redis_url, path=[folder]) as child:
        child.receive(Ready)
        sequence = child.start(queue.enqueue("attended.wait_for_cancel", 15))
        child.lines.control.sendall(encode(CancelJob(sequence + 7, "another one")))
        child.lines.control.sendall(encode(CancelJob(sequence, "not needed")))

        assert child.receive(Outcome).seconds < 10
        assert ask(child) == 1


def test_nonsense_on_the_line_costs_neither_the_process_nor_its_answers(redis_url: str, queue: Queue) -> None:
    with ChildHarness(redis_url, path=[USER_MODULES]) as child:
        child.receive(Ready)
        child.lines.control.sendall(b"\0\0\0\x03abc")

        assert child.run(queue.enqueue("operator.add", 1, 2)).kind == "finished"


def test_the_thread_ends_with_the_line_and_the_process_stays(redis_url: str, queue: Queue) -> None:
    with ChildHarness(redis_url, path=[USER_MODULES]) as child:
        child.receive(Ready)
        child.lines.control.close()

        assert child.run(queue.enqueue("operator.add", 1, 2)).kind == "finished"
        assert child.close() == 0


def test_a_fatal_signal_leaves_the_stacks_behind(redis_url: str, queue: Queue) -> None:
    with ChildHarness(redis_url, path=[USER_MODULES]) as child:
        child.receive(Ready)
        child.start(queue.enqueue("os.abort"))
        child.process.wait(PATIENCE_SECONDS)

        assert "Fatal Python error: Aborted" in child.lines.read_stacks()
