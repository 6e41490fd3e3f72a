"""What a tree of processes uses: descendants count, pages that are shared do not count twice."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from farm_worker.pool import memory
from farm_worker.pool.memory import MemorySampler, resident
from tests.support.waiting import wait_until

MB = 1_000_000
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

Forked = Callable[[Callable[[], object]], int]


@pytest.fixture
def forked() -> Iterator[Forked]:
    """Runs a function in a process forked from this one, which stays until the end of the test."""
    pids: list[int] = []

    def fork(function: Callable[[], object]) -> int:
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            kept = function()
            os.write(write, b"x")
            signal.pause()
            os._exit(bool(kept))
        pids.append(pid)
        os.read(read, 1)
        os.close(read)
        os.close(write)
        return pid

    yield fork
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def between_shared_and_all() -> float:
    """Bytes: more than a fork's half of what it shares with this process, and less than it and 300 MB of its own.

    This process has run other tests, and may be large itself.
    """
    return resident(os.getpid()) / 2 + 75 * MB


def nothing() -> None:
    """The forked process shares all."""


def test_pages_shared_with_the_process_it_was_forked_from_are_not_its_own(forked: Forked) -> None:
    ballast = ctypes.create_string_buffer(b"x" * 300 * MB)
    sharing = forked(nothing)
    writing = forked(lambda: ctypes.memset(ballast, 1, 300 * MB))
    sampler = MemorySampler()
    sampler.sample([sharing, writing])

    samples = sampler.sample([sharing, writing])

    assert samples[sharing] < between_shared_and_all()
    assert samples[writing] > 280 * MB


def test_a_process_that_only_shares_much_is_below_its_limit_at_once(forked: Forked) -> None:
    ballast = ctypes.create_string_buffer(b"x" * 300 * MB)
    sharing = forked(nothing)
    limit = between_shared_and_all()

    assert MemorySampler([limit]).sample([sharing])[sharing] < limit
    assert len(ballast) > 300 * MB


def test_what_was_shared_and_became_its_own_is_found_out_when_a_limit_hangs_on_it(
    forked: Forked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "DECISIVE_SECONDS", 0.0)
    monkeypatch.setattr(memory, "EXACT_COST", 1e9)
    ballast = ctypes.create_string_buffer(b"x" * 300 * MB)

    def write_when_told() -> None:
        signal.signal(signal.SIGUSR1, lambda *_: ctypes.memset(ballast, 1, 300 * MB))

    pid = forked(write_when_told)
    limit = between_shared_and_all()
    sampler = MemorySampler([limit])
    assert sampler.sample([pid])[pid] < limit

    os.kill(pid, signal.SIGUSR1)

    wait_until(lambda: sampler.sample([pid])[pid] > limit, "its own pages count")


def test_descendants_count_and_ended_processes_are_left_out() -> None:
    child = "import time; x = bytearray(100_000_000); print(flush=True); time.sleep(600)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sampler = MemorySampler()

        assert sampler.sample([process.pid])[process.pid] > 100 * MB
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert sampler.sample([process.pid]) == {}


def test_new_children_are_found_between_two_searches() -> None:
    code = (
        "import subprocess, sys\n"
        "print(flush=True); sys.stdin.readline()\n"
        "child = 'import time; x = bytearray(100_000_000); print(flush=True); time.sleep(600)'\n"
        "subprocess.run([sys.executable, '-c', child])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        sampler = MemorySampler()
        assert sampler.sample([process.pid])[process.pid] < 60 * MB
        process.stdin.write(b"\n")
        process.stdin.flush()
        process.stdout.readline()

        assert sampler.sample([process.pid])[process.pid] > 100 * MB
        os.killpg(process.pid, signal.SIGKILL)


def test_a_sampler_leaves_no_file_open_of_what_has_ended() -> None:
    before = len(os.listdir("/proc/self/fd"))
    sampler = MemorySampler()
    sampler.sample([os.getpid()])
    sampler.sample([])

    assert len(os.listdir("/proc/self/fd")) == before
