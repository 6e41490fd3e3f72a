"""The thread of a process that answers its host, whatever the job does: pings, and requests to end a job.

Python code that is busy lends it the interpreter within milliseconds. Only C code that keeps the GIL silences it.
"""

import os
import signal
import threading
from typing import Any

from farm_worker.pool.protocol import CancelJob, FrameReader, Message, Ping, Pong, encode

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


def attend(control: int) -> threading.Thread:
    """Starts the thread. `control`: this process's end of the control line; with the line the thread ends."""
    thread = threading.Thread(target=_answer_all, args=(control,), name="farm-attendant", daemon=True)
    thread.start()
    return thread


def _answer_all(control: int, read: Any = os.read, write: Any = os.write) -> None:
    # Bound above: a job may put something else in place of functions of `os`.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - _LEFT_TO_IT)  # alarms belong to the main thread
    reader = FrameReader()
    while True:
        try:
            data = read(control, RECEIVE_BYTES)
        except OSError:
            return
        if not data:
            return
        try:
            for message in reader.feed(data):
                _answer(message, control, write)
        except OSError:
            return
        except BaseException:  # noqa: BLE001, S112 - want of memory, or what a canceled job made of its own context
            continue


def _answer(message: Message, control: int, write: Any) -> None:
    if isinstance(message, Ping):
        write(control, encode(Pong(message.sequence)))
    elif isinstance(message, CancelJob):
        from farm import context  # noqa: PLC0415 - long imported by then; the process decides when that is

        context.cancel_job(message.sequence, message.reason)
