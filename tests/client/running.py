"""Stock RQ workers as the runner: what the client writes must be readable by plain RQ."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty


class ThreadWorker(SimpleWorker):
    """A stock worker that can live in a thread."""

    death_penalty_class = TimerDeathPenalty

    def _install_signal_handlers(self) -> None:
        pass


def run_all(client: redis.Redis, *queues: str, serializer: Any = None) -> None:
    """Runs what waits in the queues, in this thread."""
    names = queues or ("default",)
    worker = ThreadWorker(
        [Queue(name, connection=client, serializer=serializer) for name in names],
        connection=client,
        serializer=serializer,
    )
    worker.work(burst=True, logging_level="ERROR")


@contextmanager
def a_worker_beside(client: redis.Redis, *queues: str) -> Iterator[None]:
    """Runs jobs in a thread as they come, until the context ends."""
    ended = threading.Event()

    def body() -> None:
        while not ended.is_set():
            run_all(client, *queues)
            ended.wait(0.02)

    thread = threading.Thread(target=body)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)
