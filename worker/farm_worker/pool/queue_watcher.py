"""The process's side of a watch that its host lends it: it waits at Redis itself, and begins what comes.

The token of the watch stays in the pipe while it waits. Once Redis answers, the process reads a token: it is the
watch's own, and what came is begun, after the host was told; or it is not, as the host took the watch back, and then
the host asks Redis itself what came of it.
"""

import select
from typing import Any

from farm.store.started import read_lease
from farm.store.watch_line import WatchLine
from farm_worker.pool.protocol import RunJob
from farm_worker.pool.watch_messages import Watch, Watched


class QueueWatcher:
    """One watch at a time. Everything happens in the thread that runs jobs."""

    def __init__(self, redis_url: str) -> None:
        self._line = WatchLine(redis_url)
        self._sequence = 0
        self._replies: list[Any] | None = None
        """Of the watch of that sequence. Empty: the connection is lost. None: there was none."""
        self._poll = select.poll()
        self._polled = (-1, -1, -1)
        """What that waits for."""

    def wait(self, watch: Watch, stream: int, tokens: int) -> bool:
        """Asks Redis. True when it has answered, or can't; False when the host says something, or closed the pipe.

        The pipe is not looked into: the token of the watch lies there for as long as it is lent.
        """
        self._sequence, self._replies = watch.sequence, None
        if not self._line.send(watch.request):
            return True
        line = self._line.descriptor
        if self._polled != (stream, tokens, line):
            self._wait_for(stream, tokens, line)
        while len(ready := self._poll.poll()) == 1 and ready[0][0] == line:
            self._replies = self._line.receive()
            if self._replies is not None:
                return True
        self._line.close()  # what still comes must not be taken for an answer to the next watch
        self._replies = []
        return False

    def _wait_for(self, stream: int, tokens: int, line: int) -> None:
        self._poll, self._polled = select.poll(), (stream, tokens, line)
        self._poll.register(stream, select.POLLIN)
        self._poll.register(tokens, 0)
        self._poll.register(line, select.POLLIN)

    def answer(self, watch: Watch) -> tuple[Watched, RunJob | None]:
        """Of a watch whose token this process got: what the host is told, then what is begun."""
        sequence = watch.sequence
        if self._sequence != sequence:
            return Watched(sequence, "unasked"), None
        replies, self._replies = self._replies, None
        if replies is None or (replies and isinstance(replies[0], Exception)):
            return Watched(sequence, "failed"), None
        if not replies or isinstance(replies[1], Exception):
            return Watched(sequence, "lost"), None
        came, reply = replies
        job = _plain_job(watch, reply)
        return Watched(sequence, "answered", came is not None, reply, begun=job is not None), job


def _plain_job(watch: Watch, reply: list[Any]) -> RunJob | None:
    """The first that came, unless the host has to look at it: it may have to be alone."""
    if len(reply) <= _BEFORE_JOBS:
        return None
    job_id, lease, _, _, _, packed, large = reply[_BEFORE_JOBS]
    token, queue, attempt, on_lost = read_lease(lease)
    if attempt > 1:
        return None
    must_end = on_lost == "fail"
    return RunJob(
        watch.sequence, job_id, token, queue, attempt, packed, watch.expires_at, must_end, is_large=bool(large)
    )


_BEFORE_JOBS = 4
"""What `take.lua` says before the jobs."""
