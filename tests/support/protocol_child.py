"""A process that speaks the pool's protocol and obeys. Run as `protocol_child STREAM TOKENS CONTROL STACKS`.

How it warms up is said by `Initialize.app`: a verb. What a job does is said by its fields: `do`, and `value`.
"""

import ctypes
import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque

from farm.ending import pack_ending
from farm.packed import unpack_hash
from farm_worker.pool.attendant import attend
from farm_worker.pool.outcome import Outcome
from farm_worker.pool.protocol import (
    TOKEN,
    Dirty,
    FrameReader,
    Initialize,
    InitializeFailed,
    JobLimit,
    Progress,
    Ready,
    RunJob,
    RunJobs,
    encode,
)
from farm_worker.pool.stacks import keep_stacks


class Child:
    def __init__(self, stream: int, tokens: int) -> None:
        self.stream = socket.socket(fileno=stream)
        self.stream.set_inheritable(False)
        self.tokens = tokens
        os.set_inheritable(tokens, False)
        self.reader = FrameReader()
        self.messages: deque[object] = deque()
        self.dirty = False

    def run(self) -> None:
        self.warm_up(self.next_message())
        while (sequence := self.next_token()) is not None:
            job = self.job(sequence)
            self.stream.sendall(encode(self.work(job)))
            if self.dirty:
                return

    def warm_up(self, initialize: object) -> None:  # a table of verbs
        assert isinstance(initialize, Initialize)
        verb, _, value = (initialize.app or "").partition(":")
        if verb == "fail":
            self.stream.sendall(encode(InitializeFailed("RuntimeError: no database")))
            sys.exit(1)
        if verb == "fail_while" and os.path.exists(value):
            self.stream.sendall(encode(InitializeFailed("RuntimeError: no database")))
            sys.exit(1)
        if verb == "grow":
            self.ballast = bytearray(int(value))
            time.sleep(600)
        if verb == "hang":
            subprocess.Popen(["sleep", "600"])
            time.sleep(600)
        if verb == "garbage":
            self.stream.sendall(b"\0\0\0\4oops")
            time.sleep(600)
        if verb == "mute":
            self.stream.sendall(encode(Ready(os.getpid(), 0.0)))
            self.stream.shutdown(socket.SHUT_RDWR)
            time.sleep(600)
        if verb == "die_idle":
            self.stream.sendall(encode(Ready(os.getpid(), 0.0)))
            os._exit(7)
        if verb == "slow_end":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            threading.Thread(target=time.sleep, args=(600,)).start()
        self.stream.sendall(encode(Ready(os.getpid(), 0.0)))

    def next_message(self) -> object:
        while not self.messages:
            self.take_in()
        return self.messages.popleft()

    def take_in(self) -> None:
        data = self.stream.recv(65536)
        if not data:
            sys.exit(0)
        for message in self.reader.feed(data):
            self.messages.extend(message.jobs if isinstance(message, RunJobs) else [message])

    def next_token(self) -> int | None:
        while True:
            try:
                data = os.read(self.tokens, TOKEN.size)
            except BlockingIOError:
                # A token follows its frame, and a large frame needs somebody who takes it in.
                if self.tokens not in select.select([self.tokens, self.stream], [], [])[0]:
                    self.take_in()
                continue
            if not data:
                return None
            (sequence,) = TOKEN.unpack(data)
            return int(sequence)

    def job(self, sequence: int) -> RunJob:
        while True:
            job = self.next_message()
            assert isinstance(job, RunJob)
            assert job.sequence <= sequence, "a token without its frame"
            if job.sequence == sequence:
                return job

    def work(self, job: RunJob) -> Outcome:  # noqa: C901, PLR0912  a table of verbs
        flat = unpack_hash(job.packed)
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        result = b"%d" % len(fields.get(b"data", b""))
        verb, value = fields.get(b"do", b""), fields.get(b"value", b"").decode()
        if verb == b"sleep":
            time.sleep(float(value))
        elif verb == b"exit":
            os._exit(int(value))
        elif verb == b"signal":
            os.kill(os.getpid(), int(value))
        elif verb == b"start_and_hang":
            started = subprocess.Popen(["sleep", "600"])
            with open(value + ".part", "w") as file:
                file.write(str(started.pid))
            os.rename(value + ".part", value)
            time.sleep(600)
        elif verb == b"answer_and_die":
            self.stream.sendall(encode(self.outcome(job, result)))
            os.kill(os.getpid(), signal.SIGKILL)
        elif verb == b"dirty":
            self.dirty = True
            self.stream.sendall(encode(Dirty(value)))
        elif verb == b"limit_and_hang":
            self.stream.sendall(encode(JobLimit(job.sequence, float(value))))
            time.sleep(600)
        elif verb == b"wait_for":
            while not os.path.exists(value):
                time.sleep(0.005)
        elif verb == b"spin":
            until = time.monotonic() + float(value)
            while time.monotonic() < until:
                pass
        elif verb == b"hold_the_gil":
            sum(itertools.repeat(1, int(value)))
        elif verb == b"hold_the_gil_asleep":
            lock = ctypes.create_string_buffer(128)
            for _ in range(2):
                ctypes.PyDLL(None).pthread_mutex_lock(lock)
        elif verb == b"grow_in_a_child":
            subprocess.Popen([sys.executable, "-c", f"import time; x = bytearray({value}); time.sleep(600)"])
            time.sleep(600)
        elif verb == b"grow":
            self.ballast = bytearray(int(value))
            time.sleep(600)
        elif verb == b"echo":
            result = fields[b"data"]
        elif verb == b"say":
            for fraction, text in ((float("nan"), "at work"), (0.25, "a quarter"), (7.0, "x" * 5000)):
                self.stream.sendall(encode(Progress(job.sequence, fraction, text)))
        elif verb == b"print":
            sys.stdout.write("x" * int(value))
            sys.stdout.flush()
        return self.outcome(job, result)

    def outcome(self, job: RunJob, result: bytes) -> Outcome:
        now = time.time()
        packed = pack_ending(
            job_id=job.job_id, token=job.token, kind="finished", ttl=500, started_at=now, ended_at=now, seconds=0.0,
            result=result,
        )  # fmt: skip
        return Outcome(job.sequence, "finished", 0.0, packed)


if __name__ == "__main__":
    keep_stacks(int(sys.argv[4]))
    attend(int(sys.argv[3]))
    Child(int(sys.argv[1]), int(sys.argv[2])).run()
