"""A program of examples/, run as its reader runs it."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.support.waiting import wait_until

START_SECONDS = 30.0
END_SECONDS = 30.0


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: dict[str, str], client: redis.Redis, *, hosts: int = 1
) -> Iterator[Callable[[], str]]:
    """Until so many hosts take jobs, and then to a clean end by SIGINT to all, as a terminal does.

    Yields what tells all that was said so far.
    """
    log = folder / "said.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )

    def said() -> str:
        return log.read_text(errors="replace")

    try:
        wait_until(lambda: process.poll() is not None or _taking_jobs(client) >= hosts, "it takes jobs", START_SECONDS)
        assert process.poll() is None, said()
        yield said
    finally:
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=END_SECONDS)
    assert code == 0, said()


def _taking_jobs(client: redis.Redis) -> int:
    states = [client.hget(f"farm:host:{name.decode()}", "state") for name in client.zrange("farm:load", 0, -1)]
    return sum(state == b"available" for state in states)
