"""A parent for one real process of the pool: sends jobs as a host does, and reads what comes back."""

import fcntl
import os
import select
import struct
import termios
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import redis
from rq.job import Job

from farm_worker.pool.lines import Lines
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import TOKEN, FrameReader, Initialize, Message, Output, RunJob, encode
from farm_worker.pool.spawn import start_interpreter
from tests.support.outcomes import packed_hash

PATIENCE_SECONDS = 20.0
FENCE = b"1800000000000000"
"""Of each start: what Redis adds to the hash then."""
TOKEN_OF_ALL = "0" * 32
"""Of the lease of each job here."""
USER_MODULES = str(Path(__file__).parent / "user_modules")
Wanted = TypeVar("Wanted")


class ChildHarness:
    """Starts the process in its constructor. `close` ends it gracefully, leaving the block kills it."""

    def __init__(
        self, redis_url: str, *, path: Iterable[str] = (), environment: dict[str, str] | None = None, **values: Any
    ):
        self._redis_url = redis_url
        self._reader = FrameReader()
        self._messages: list[Message] = []
        self.said: list[Output] = []
        self._sequence = 0
        self.lines, child = Lines.open()
        self.stream = self.lines.stream
        self.stream.setblocking(True)
        self.stream.settimeout(PATIENCE_SECONDS)
        descriptors = [child.stream, child.tokens, child.control, child.stacks]
        self.process = start_interpreter("farm_worker.pool.child", descriptors, environment, child.output)
        child.close()
        self._tokens_open = True
        defaults: dict[str, Any] = {
            "redis_url": redis_url,
            "rq_prefix": "rq",
            "host": "host-1",
            "process": 1,
            "path": [*path],
            "python_path": None,
            "app": None,
            "serializer": None,
            "job_class": None,
            "result_ttl": 500,
            "exception_handlers": [],
            "log_level": "info",
        }
        self.send_frame(Initialize(**(defaults | values)))

    def __enter__(self) -> "ChildHarness":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.stream.close()
        self.close_tokens()
        os.close(self.lines.token_read)
        self.lines.close()

    @property
    def at_rest(self) -> bool:
        """Whether it lives, has nothing to do, and has told all that there is to tell."""
        told_all = not self._messages and not select.select([self.stream], [], [], 0)[0]
        return told_all and self.process.poll() is None and self._tokens_open and self.peek() == 0

    def receive(self, wanted: type[Wanted]) -> Wanted:
        """The next message, which must be of this kind. What jobs say goes to `said`, unless it is asked for."""
        message = self.receive_any()
        while isinstance(message, Output) and wanted is not Output:
            self.said.append(message)
            message = self.receive_any()
        assert isinstance(message, wanted), message
        return message

    def receive_any(self) -> Message:
        """The next message."""
        while not self._messages:
            data = self.stream.recv(1 << 16)
            assert data, f"the process closed the stream, exit code {self.process.wait()}"
            self._messages.extend(self._reader.feed(data))
        return self._messages.pop(0)

    def start(self, job: Job, *, attempt: int = 1, is_large: bool = False) -> int:
        """Sends a job of real RQ as the host would: its hash as it was before the start. Returns its sequence."""
        with redis.Redis.from_url(self._redis_url) as client:
            record: dict[bytes, bytes] = client.hgetall(job.key) | {b"farm_fence": FENCE}
            client.hset(job.key, mapping={"status": "started", "worker_name": "host-1", "farm_fence": FENCE})
            client.lrem(f"rq:queue:{job.origin}", 1, job.id)
        if is_large:
            record[b"data"] = b""
        return self.start_record(job.id.encode(), record, queue=job.origin, attempt=attempt, is_large=is_large)

    def start_record(
        self,
        job_id: bytes,
        record: dict[bytes, bytes],
        *,
        queue: str = "default",
        attempt: int = 1,
        is_large: bool = False,
    ) -> int:
        """Sends a hash as it is."""
        sequence = self.send_job(job_id, record, queue=queue, attempt=attempt, is_large=is_large)
        self.send_tokens(sequence)
        return sequence

    def send_job(
        self,
        job_id: bytes,
        record: dict[bytes, bytes],
        *,
        queue: str = "default",
        attempt: int = 1,
        is_large: bool = False,
    ) -> int:
        """Sends only the frame: without its token the process may not run it."""
        sequence = self.next_sequence()
        packed = packed_hash(record)
        self.send_frame(RunJob(sequence, job_id, TOKEN_OF_ALL, queue, attempt, packed, is_large=is_large))
        return sequence

    def next_sequence(self) -> int:
        """For what has a token."""
        self._sequence += 1
        return self._sequence

    def send_frame(self, message: Message) -> None:
        self.stream.sendall(encode(message))

    def send_tokens(self, *sequences: int) -> None:
        os.write(self.lines.token_write, b"".join(map(TOKEN.pack, sequences)))

    def take_back(self) -> list[int]:
        """Sequences of what the process has not begun, as a host recalls them."""
        try:
            data = os.read(self.lines.token_read, 4096)
        except BlockingIOError:
            return []
        return [sequence for (sequence,) in TOKEN.iter_unpack(data)]

    def peek(self) -> int:
        """How many jobs the process has not begun."""
        waiting = fcntl.ioctl(self.lines.token_read, termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", waiting)[0]) // TOKEN.size

    def run(self, job: Job, *, attempt: int = 1) -> Outcome:
        """Runs one job to its outcome."""
        sequence = self.start(job, attempt=attempt)
        outcome = self.receive(Outcome)
        assert outcome.sequence == sequence
        return outcome

    def close_tokens(self) -> None:
        """Tells the process to end after what it has."""
        if self._tokens_open:
            os.close(self.lines.token_write)
            self._tokens_open = False

    def close(self) -> int:
        """Ends the process gracefully. Returns its exit code."""
        self.close_tokens()
        return self.process.wait(PATIENCE_SECONDS)
