"""The thread of a process that answers its host, whatever the job does: pings, and requests to end a job.

Python code that is busy lends it the interpreter within milliseconds. Only C code that keeps the GIL silences it.
"""

import os
import select
import signal
import threading
from typing import Any

from farm_worker.pool.expiry import Expiry
from farm_worker.pool.interruption import Interruption
from farm_worker.pool.protocol import (
    CancelJob,
    FrameReader,
    InterruptJob,
    Message,
    Ping,
    Pong,
    Renewed,
    StopJob,
    encode,
)

RECEIVE_BYTES = 4096
_LEFT_TO_IT = frozenset({
    signal.SIGUSR2,  # see `stacks`: any thread may write them
    signal.SIGTERM,
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGABRT,
})  # fmt: skip


def attend(control: int, interruption: Interruption | None = None, expiry: Expiry | None = None) -> threading.Thread:
    """Starts the thread. `control`: this process's end of the control line; with the line the thread ends.

    `interruption` hears when the host waits no longer for the job; `expiry` is moved on, and enforced.
    """
    arguments = (control, interruption or Interruption(), expiry or Expiry())
    thread = threading.Thread(target=_answer_all, args=arguments, name="farm-attendant", daemon=True)
    thread.start()
    return thread


def _answer_all(
    control: int, interruption: Interruption, expiry: Expiry, read: Any = os.read, write: Any = os.write
) -> None:
    # Bound above: a job may put something else in place of functions of `os`.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _LEFT_TO_IT)  # alarms belong to the main thread
    reader = FrameReader()
    readable = select.poll()
    readable.register(control, select.POLLIN)
    while True:
        try:
            while not readable.poll(_milliseconds(expiry.left())):
                expiry.enforce()
            data = read(control, RECEIVE_BYTES)
        except OSError:
            return
        if not data:
            return
        try:
            for message in reader.feed(data):
                _answer(message, control, interruption, expiry, write)
        except OSError:
            return
        except BaseException:  # noqa: BLE001, S112 - want of memory, or what a canceled job made of its own context
            continue


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000) + 1


def _answer(message: Message, control: int, interruption: Interruption, expiry: Expiry, write: Any) -> None:
    if isinstance(message, Ping):
        write(control, encode(Pong(message.sequence)))
    elif isinstance(message, CancelJob):
        from farm import context  # noqa: PLC0415 - long imported by then; the process decides when that is

        context.cancel_job(message.sequence, message.reason)
    elif isinstance(message, StopJob):
        if interruption.stop_job is not None:
            interruption.stop_job(message.sequence)
    elif isinstance(message, InterruptJob):
        interruption.come(message.seconds)
    elif isinstance(message, Renewed):
        expiry.move(message.expires_at)
