"""What a host and its processes say to each other, and how it looks on the wire.

Two channels join a host to one process:

- a **stream** socket pair with frames: 4 bytes of length (big endian), then one message in MessagePack;
- a **token pipe**: 8 bytes (little endian) per job, the job's sequence number. The host writes a frame with one job or
  several to the stream, then their tokens to the pipe. A process may run a job only after it has read the job's token.
  The host keeps the pipe's read end too, so it can take back what was not begun by reading the tokens itself: each
  token goes to exactly one of the two. A process skips jobs whose token it never got. When the host closes the pipe,
  the process ends. Both read ends share one file description, which is non-blocking.

So for every job that was sent, the host knows for certain whether the process may have begun it, even after the
process was killed: token gone and no outcome means begun.

The messages hold nothing that must be unpickled: the host never decodes a job.
"""

import logging
import struct
from typing import Any

import msgspec

from farm_worker.pool.offer_messages import AcceptAnswer, CallAccept
from farm_worker.pool.outcome import Finished, Outcome
from farm_worker.pool.watch_messages import Watch, Watched

MAX_FRAME_BYTES = 1 << 31
"""Frames above this are refused: 2 GiB, Redis's own values end at 512 MB."""

_HEADER = struct.Struct(">I")
_HEADER_SIZE = _HEADER.size
TOKEN = struct.Struct("<Q")


class Initialize(msgspec.Struct, tag="initialize", array_like=True, kw_only=True):
    """Host → process, the first message: everything that it needs to warm up."""

    redis_url: str
    rq_prefix: str
    host: str
    process: int
    """Number of the process within its host, from 1."""
    path: list[str]
    """The user's import path, put in front of `sys.path` after our own imports."""
    python_path: str | None
    """The user's own `PYTHONPATH`, put back into the environment for what jobs start."""
    app: str | None
    serializer: str | None
    job_class: str | None
    result_ttl: int
    exception_handlers: list[str]
    log_level: str
    close_timeout: float = 10.0
    """CLOSE_TIMEOUT: what a process has for its end."""
    http_proxy: str | None = None
    """Proxy that the environment of jobs names."""
    descriptor_limit: int | None = None
    """The soft limit of open descriptors that the user has; the host raised its own."""
    runners: dict[str, str] = {}
    """Runners of this host: name → path of the socket that they answer on."""
    runner: str | None = None
    """The runner that the process is a copy of. None for one that runs jobs or hooks."""
    copy: int = 0
    """Which copy of that runner, from 0."""
    async_concurrency: int = 1
    """ASYNC_CONCURRENCY: coroutine jobs that it runs side by side."""
    facts: str = ""
    """Path of the block in which the host says how it is, see `farm.facts`."""


class RunJob(msgspec.Struct, tag="run", array_like=True):
    """Host → process: one job, as Redis holds it."""

    sequence: int
    job_id: bytes
    token: str
    queue: str
    attempt: int
    packed: bytes
    """The job's hash, as Redis packed it: see `farm.packed.unpack_hash`."""
    expires_at: float = 0.0
    """When the host's lease may be taken away, as far as it knew at the dispatch, see `expiry`. 0: no such time."""
    must_end: bool = False
    """It has to be over by then, as it must not run twice."""
    follow_up: str = ""
    """`stopped` or `failed`: the job ended without its process. It is not run: what follows such an end is called."""
    is_large: bool = False
    """The payload is empty in `packed`: the process reads it from Redis."""


class RunJobs(msgspec.Struct, tag="jobs", array_like=True):
    """Host → process: jobs that it gets together. Each has its token."""

    jobs: list[RunJob]


class Born(msgspec.Struct, tag="born", array_like=True):
    """Process → host, the first message of one that was forked: from here on the host can signal and reap it."""

    pid: int


class TemplateReady(msgspec.Struct, tag="template_ready", array_like=True):
    """Template → host: the app is imported, its preload functions have run."""

    seconds: float
    unsafe: str
    """Why processes can't be forked from it, a whole sentence; empty: they can."""


class Reserve(msgspec.Struct, tag="reserve", array_like=True):
    """Template → host: a process was forked before it is asked for. The next request becomes that one."""

    pid: int


class Forked(msgspec.Struct, tag="forked", array_like=True):
    """Template → host, after each request: it was done. What came of it, the process says itself."""


class Ended(msgspec.Struct, tag="ended", array_like=True):
    """Thread → host, its last message: it ended, and its process goes on."""

    code: int
    """As an exit code."""


class Ready(msgspec.Struct, tag="ready", array_like=True):
    """Process → host: warm, jobs may come."""

    pid: int
    seconds: float


class InitializeFailed(msgspec.Struct, tag="initialize_failed", array_like=True):
    """Process → host: the app could not be imported or a prewarm raised. The process exits after this."""

    error: str


class JobLimit(msgspec.Struct, tag="job_limit", array_like=True):
    """Process → host: the job that runs has another time limit than its record says, as entry points have."""

    sequence: int
    seconds: float
    """0: none."""


class Progress(msgspec.Struct, tag="progress", array_like=True):
    """Process → host: how far the job says that it is. Only the last one of a while counts."""

    sequence: int
    fraction: float | None
    """0 to 1; None for words alone."""
    text: str


class Output(msgspec.Struct, tag="output", array_like=True):
    """Process → host, before the outcome of its job: a line that was printed, or a record that was logged."""

    sequence: int
    """Of the job that said it. 0: none, as while warming up."""
    source: str
    """`stdout`, `stderr` or `log`."""
    text: str
    level: int = logging.INFO
    logger: str = ""
    exception: str = ""
    """The traceback of what was logged with one."""
    fields: dict[str, Any] = {}
    """What was bound to the job or given as `extra`: values that JSON knows."""
    dropped: tuple[int, int] = (0, 0)
    """In a message without text: lines and characters that are not shown."""


class Sharing(msgspec.Struct, tag="sharing", array_like=True):
    """Process → host: the job that begins is a coroutine, or the first after such that is none.

    Said again when more of them run at once than ever since the process had no job: at each doubling.
    """

    running: int
    """Coroutines that run now, this one counted. 0: the job has the process to itself."""


class Dirty(msgspec.Struct, tag="dirty", array_like=True):
    """Process → host, before the outcome of a job: that job left behind what can't be put back. No job follows it."""

    reason: str


class Ping(msgspec.Struct, tag="ping", array_like=True):
    """Host → process, on the control line."""

    sequence: int


class Pong(msgspec.Struct, tag="pong", array_like=True):
    """Process → host, on the control line."""

    sequence: int


class CancelJob(msgspec.Struct, tag="cancel", array_like=True):
    """Host → process, on the control line: the job is asked to end. It sees `is_cancelled`."""

    sequence: int
    reason: str


class StopJob(msgspec.Struct, tag="stop", array_like=True):
    """Host → process, on the control line: the coroutine of this job is cancelled; those beside it go on."""

    sequence: int


class Renewed(msgspec.Struct, tag="renewed", array_like=True):
    """Host → process, on the control line: its lease is good for longer."""

    expires_at: float
    """See `expiry`."""


class InterruptJob(msgspec.Struct, tag="interrupt", array_like=True):
    """Host → process, on the control line: the host stops and waits no longer for the job that runs.

    The job gets JobInterrupted. What follows it, and the end of the process, have `seconds`; then it is killed.
    """

    seconds: float


class RunnerOptions(msgspec.Struct, array_like=True, kw_only=True):
    """One `@app.runner` of the app. See `farm.runner_declaration`."""

    name: str
    copies: int
    batch: int
    max_waiting: int
    initialize_timeout: float
    memory_limit_mb: float | None


class DescribeApp(msgspec.Struct, tag="described", array_like=True, kw_only=True):
    """Hooks process → host: what the app declares."""

    options: dict[str, Any]
    """Settings given to `App(...)`: name in lower case → value."""
    queues: dict[str, dict[str, Any]]
    """`app.queue(name, **options)`: name → options."""
    has_load: bool
    events: list[str] = []
    """Events that the app has handlers for."""
    runners: list[RunnerOptions] = []
    has_accept: bool = False


class CallLoad(msgspec.Struct, tag="load", array_like=True):
    """Host → hooks process: run `@app.load` with these measurements."""

    sequence: int
    facts: dict[str, Any]


class LoadAnswer(msgspec.Struct, tag="load_answer", array_like=True):
    """Hooks process → host: what `@app.load` said, or why it could not."""

    sequence: int
    value: float | None
    error: str


class HandleEvent(msgspec.Struct, tag="event", array_like=True):
    """Host → handlers process: call the functions that the app declared for this event."""

    sequence: int
    name: str
    at: float
    """Unix seconds."""
    fields: dict[str, Any]
    """The other attributes of `farm.event.Event`."""
    skip: int = 0
    """How many of the functions were called before, by a process that is gone."""


class HandlerCalled(msgspec.Struct, tag="handler", array_like=True):
    """Handlers process → host: this function is called now."""

    sequence: int
    handler: str


class EventHandled(msgspec.Struct, tag="handled", array_like=True):
    """Handlers process → host: all functions of the event were called."""

    sequence: int
    errors: list[str]
    """Of those that raised: name and end of the traceback."""


Message = (
    Initialize
    | RunJob
    | RunJobs
    | Watch
    | Watched
    | Born
    | TemplateReady
    | Reserve
    | Forked
    | Ended
    | Ready
    | InitializeFailed
    | JobLimit
    | Progress
    | Output
    | Sharing
    | Dirty
    | Outcome
    | Finished
    | Ping
    | Pong
    | CancelJob
    | StopJob
    | InterruptJob
    | Renewed
    | DescribeApp
    | CallLoad
    | LoadAnswer
    | CallAccept
    | AcceptAnswer
    | HandleEvent
    | HandlerCalled
    | EventHandled
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One frame: header and message."""
    body = _encoder.encode(message)
    return _HEADER.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into messages. Feed it what arrived; it keeps the rest."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        """What came of a message that is not complete."""
        self._size = 0
        """Bytes in these."""
        self._wanted = 0
        """Bytes until there may be a message: a large one is not put together again with each part of it."""

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by `data`. Raises `msgspec.DecodeError` or `ValueError` on bytes that are none."""
        if self._parts:
            self._parts.append(data)
            self._size += len(data)
            if self._size < self._wanted:
                return []
            data = b"".join(self._parts)
        messages: list[Message] = []
        start, end, wanted = 0, len(data), _HEADER_SIZE
        while end - start >= _HEADER_SIZE:
            body = start + _HEADER_SIZE
            (size,) = _HEADER.unpack_from(data, start)
            if size > MAX_FRAME_BYTES:
                raise ValueError(f"a frame of {size} bytes is larger than {MAX_FRAME_BYTES}")
            if body + size > end:
                wanted += size
                break
            messages.append(_decoder.decode(data[body : body + size]))
            start = body + size
        self._parts = [data[start:]] if start < end else []
        self._size, self._wanted = end - start, wanted
        return messages
