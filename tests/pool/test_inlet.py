"""The process's end of its channels, where it waits for jobs on an event loop."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from farm_worker.pool.inlet import Inlet
from farm_worker.pool.protocol import TOKEN, RunJob, encode

PATIENCE_SECONDS = 10


@pytest.fixture
def patience() -> Iterator[None]:
    """Ends a test that waits for something that never comes."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(PATIENCE_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _give_up(*_: object) -> None:
    raise AssertionError(f"it waited for {PATIENCE_SECONDS} s")


@pytest.mark.usefixtures("patience")
def test_a_loop_that_was_woken_for_a_frame_goes_on_where_a_job_has_taken_the_frame_meanwhile() -> None:
    host, child = socket.socketpair()
    token_read, token_write = os.pipe()
    os.set_blocking(token_read, False)
    inlet = Inlet(child.detach(), token_read)
    with closing(host), closing(inlet.release()):
        host.sendall(encode(RunJob(1, b"job", "0" * 32, "default", 1, b"")))
        os.write(token_write, TOKEN.pack(1))

        # Both are ready in one turn of the loop, and it calls the token's first.
        job = inlet.next_job_now()
        inlet.take_in()

        assert job is not None
        assert job.job_id == b"job"
        assert not inlet.ended
        host.shutdown(socket.SHUT_WR)
        inlet.take_in()
        assert inlet.ended
    os.close(token_read)
    os.close(token_write)
