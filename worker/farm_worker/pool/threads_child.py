"""The body of the process whose threads run jobs: `python -P -m farm_worker.pool.threads_child STREAM` (a descriptor).

It imports the app, runs its preload functions, says so, then starts one thread for each request: a byte with the
descriptors of that thread's lines. A thread speaks to the host as a process of the pool does.
"""

import gc
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from farm_worker.pool.attendant import attend
from farm_worker.pool.entry import INITIALIZE_FAILED, enter
from farm_worker.pool.failure import explain
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.interruption import Interruption
from farm_worker.pool.leaving import leave
from farm_worker.pool.lines import ChildLines
from farm_worker.pool.output import ProcessOutput
from farm_worker.pool.protocol import (
    Dirty,
    Ended,
    Forked,
    Initialize,
    InitializeFailed,
    Output,
    Ready,
    TemplateReady,
    encode,
)
from farm_worker.pool.template_child import load_all

if TYPE_CHECKING:
    from farm_worker.pool.equipment import Equipment
    from farm_worker.pool.loaded import Loaded
    from farm_worker.pool.warmth import Warmth


class Voices:
    """Who tells the host what is said here: the thread whose job said it, any of them for what none did."""

    def __init__(self) -> None:
        self._inlets: dict[Inlet, int] = {}
        """Those of living threads, with the sequence of the job that runs there, or 0."""

    def set(self, inlet: Inlet, sequence: int) -> None:
        """The thread of this inlet runs this job from now on."""
        self._inlets[inlet] = sequence

    def remove(self, inlet: Inlet) -> None:
        """Its thread ends."""
        self._inlets.pop(inlet, None)

    def say(self, messages: Sequence[Output], *, wait: bool = False) -> int:
        """How many of the messages were taken."""
        inlets = dict(self._inlets)
        wanted = messages[0].sequence
        inlet = next((inlet for inlet, sequence in inlets.items() if sequence == wanted), next(iter(inlets), None))
        return 0 if inlet is None else inlet.say(messages, wait=wait)


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the host closed the stream."""
    entry = enter(int(arguments[0]))
    if entry is None:
        return 0
    try:
        loaded = load_all(entry.initialize)
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    gc.collect()
    gc.freeze()
    entry.output.finish()
    if entry.inlet.send(TemplateReady(time.monotonic() - entry.begun, "")):
        _serve_requests(entry.inlet.release(), loaded, entry.output)
    return 0


def _serve_requests(stream: socket.socket, loaded: "Loaded", output: ProcessOutput) -> None:
    """Starts threads until the host closes the stream."""
    voices = Voices()
    output.connect(voices.say)
    while True:
        lines = ChildLines.receive(stream)
        if lines is None:
            return
        try:
            threading.Thread(target=_be_executor, args=(lines, loaded, output, voices), daemon=True).start()
        except RuntimeError as error:
            with suppress(OSError):
                os.write(lines.stream, encode(InitializeFailed(f"no room for another thread: {error}")))
                os.write(lines.stream, encode(Ended(INITIALIZE_FAILED)))
            lines.refuse()
        try:
            stream.sendall(encode(Forked()))
        except ConnectionError:
            return


def _be_executor(lines: ChildLines, loaded: "Loaded", output: ProcessOutput, voices: Voices) -> None:
    """The life of one thread."""
    os.close(lines.output)  # what is printed here belongs to no thread
    for descriptor in (lines.stream, lines.tokens, lines.control, lines.stacks):
        os.set_inheritable(descriptor, False)
    interruption = Interruption()
    attendant = attend(lines.control, interruption)
    inlet = Inlet(lines.stream, lines.tokens)
    voices.set(inlet, 0)
    code = 1
    try:
        code = _serve(inlet, interruption, loaded, output, voices)
    except BaseException:  # noqa: BLE001 - it has to say goodbye, whatever the matter
        traceback.print_exc()
    voices.remove(inlet)
    inlet.send(Ended(code))
    inlet.release().close()
    with socket.socket(fileno=lines.control) as control, suppress(OSError):
        control.shutdown(socket.SHUT_RDWR)
        attendant.join(1.0)
    for descriptor in (lines.tokens, lines.stacks):
        os.close(descriptor)


def _serve(inlet: Inlet, interruption: Interruption, loaded: "Loaded", output: ProcessOutput, voices: Voices) -> int:
    begun = time.monotonic()
    initialize = inlet.receive()
    if not isinstance(initialize, Initialize):
        return 0
    threading.current_thread().name = f"farm-{initialize.process}"
    try:
        equipment, warmth = _warm(initialize, inlet, loaded)
        interruption.reach(equipment.alarm)
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        inlet.send(InitializeFailed(explain(error)))
        return INITIALIZE_FAILED
    if inlet.send(Ready(os.getpid(), time.monotonic() - begun)):
        _run_jobs(inlet, equipment, output, voices)
    warmth.close(initialize.close_timeout)
    return 0


def _warm(initialize: Initialize, inlet: Inlet, loaded: "Loaded") -> "tuple[Equipment, Warmth]":
    from farm.account import ThreadAccount  # noqa: PLC0415 - as it is not imported before it is needed
    from farm.context import enter_thread  # noqa: PLC0415 - imports of RQ come after its prefix is known
    from farm_worker.pool.equipment import equip  # noqa: PLC0415
    from farm_worker.pool.threads_alarm import ThreadAlarm  # noqa: PLC0415
    from farm_worker.pool.warmth import Warmth  # noqa: PLC0415

    equipment = equip(initialize, inlet.send, alarm=ThreadAlarm(), connection=loaded.connection)
    equipment.process.account = ThreadAccount()
    enter_thread(equipment.process)
    warmth = Warmth(equipment.coroutines, equipment.alarm)
    equipment.process.userdata.update(loaded.userdata)
    if loaded.app is not None:
        warmth.warm(loaded.app, equipment.process)
    return equipment, warmth


def _run_jobs(inlet: Inlet, equipment: "Equipment", output: ProcessOutput, voices: Voices) -> None:
    from farm_worker.pool.work import Work  # noqa: PLC0415 - imports RQ, see above

    # What belongs to the process is shared by its threads: nothing is put back between their jobs.
    work = Work(equipment)
    while (message := inlet.next_job()) is not None:
        voices.set(inlet, message.sequence)
        output.begin(message.sequence)
        outcome = work.run_measured(message, is_last=not inlet.messages)
        output.end(message.sequence)
        voices.set(inlet, 0)
        attempt = work.attempt
        left = "" if attempt is None else attempt.left_tasks
        if left:
            inlet.send(Dirty(left))
        if not inlet.send(outcome):
            return
        if attempt is not None:
            attempt.send_webhooks(outcome)
        if left:
            return


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
