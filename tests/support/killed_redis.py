"""A private Redis that ends as a power cut ends it, or stands still."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from farm.redis_server import RedisServer


def kill(server: RedisServer) -> None:
    """SIGKILL: what is not on disk is lost. Start it again with `server.start()`."""
    for process in _processes(server):
        process.kill()
    psutil.wait_procs(_processes(server), timeout=10)


@contextmanager
def standing_still(server: RedisServer) -> Iterator[None]:
    """SIGSTOP: connections stay, and nothing is answered."""
    processes = _processes(server)
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def _processes(server: RedisServer) -> list[psutil.Process]:
    if not server.running:
        return []
    process = psutil.Process(server.pid)
    return [process, *process.children(recursive=True)]
