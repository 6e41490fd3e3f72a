"""The body of a process of the pool: `python -P -m farm_worker.pool.child STREAM TOKENS CONTROL STACKS` (descriptors).

It becomes warm, says so, then runs one job after another: a token, its frame, the outcome. It ends when the host closes
the token pipe (the prewarm functions are closed then), and with the host, whatever becomes of that.

RQ reads its key prefix once, when it is imported, and the user's own modules must not stand in for ours. So what
imports RQ is imported after the prefix is known and before the user's path is in use.
"""

import gc
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING

from farm_worker.pool.attendant import attend
from farm_worker.pool.entry import be_told
from farm_worker.pool.expiry import Expiry
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.interruption import Interruption
from farm_worker.pool.leaving import leave
from farm_worker.pool.left_children import adopt_orphans
from farm_worker.pool.lines import ChildLines
from farm_worker.pool.output import ProcessOutput
from farm_worker.pool.protocol import Dirty, Initialize, Message, Ready, RunJob
from farm_worker.pool.stacks import keep_stacks
from farm_worker.pool.surroundings import Surroundings, die_with_parent, take_signals, use_path
from farm_worker.pool.touched import touched

if TYPE_CHECKING:
    from farm_worker.pool.equipment import Equipment
    from farm_worker.pool.loaded import Loaded
    from farm_worker.pool.queue_watcher import QueueWatcher
    from farm_worker.pool.warmth import Warmth
    from farm_worker.pool.work import Work


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the host asked for the end or is gone."""
    begun = time.monotonic()
    die_with_parent()
    take_signals()
    stream, tokens, control, stacks = map(int, arguments)
    return serve(ChildLines(stream, tokens, control, stacks, sys.stdout.fileno()).take_over(), begun)


def serve(
    lines: ChildLines, begun: float, loaded: "Loaded | None" = None, announce: Callable[[], object] = lambda: None
) -> int:
    """The life of a process from its first message to its exit code.

    Of one that was forked: `loaded`, by its template; `announce` says that it was born, before it says anything else.
    """
    adopt_orphans()
    touched()
    keep_stacks(lines.stacks)
    interruption = Interruption()
    expiry = Expiry()
    attend(lines.control, interruption, expiry)
    entry = be_told(Inlet(lines.stream, lines.tokens), begun)
    if entry is None:
        return 0
    try:
        announce()
        equipment, warmth = _warm(entry.initialize, loaded, entry.inlet.send)
        interruption.reach(equipment.alarm)
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    if entry.inlet.send(Ready(os.getpid(), time.monotonic() - begun)):
        entry.inlet.watch_with(_watcher(entry.initialize))
        concurrency = entry.initialize.async_concurrency
        if concurrency > 1:
            _run_side_by_side(entry.inlet, equipment, entry.output, expiry, interruption, concurrency)
        else:
            _run_jobs(entry.inlet, equipment, entry.output, expiry)
    warmth.close(entry.initialize.close_timeout)
    entry.output.finish()
    return 0


def _warm(
    initialize: Initialize, loaded: "Loaded | None", send: Callable[[Message], bool]
) -> "tuple[Equipment, Warmth]":
    from farm.context import enter_process  # noqa: PLC0415 - all of these import RQ, see above
    from farm_worker.pool import queue_watcher, work  # noqa: F401, PLC0415 - to have them before the user's path is used
    from farm_worker.pool.equipment import equip  # noqa: PLC0415
    from farm_worker.pool.loaded import load  # noqa: PLC0415
    from farm_worker.pool.warmth import Warmth  # noqa: PLC0415

    if loaded is None:
        use_path(initialize.path)
    equipment = equip(initialize, send, connection=loaded and loaded.connection, given=loaded.given if loaded else None)
    enter_process(equipment.process)
    warmth = Warmth(equipment.coroutines, equipment.alarm)
    loaded = loaded or load(initialize.app, equipment)
    equipment.process.userdata.update(loaded.userdata)
    if loaded.app is not None:
        warmth.warm(loaded.app, equipment.process)
    gc.collect()
    gc.freeze()  # what the app loaded stays; collections between jobs need not look through it
    random.seed()  # an app that seeds at import would else draw the same numbers in each process
    return equipment, warmth


def _watcher(initialize: Initialize) -> "QueueWatcher":
    from farm_worker.pool.queue_watcher import QueueWatcher  # noqa: PLC0415 - as it may import RQ, see above

    return QueueWatcher(initialize.redis_url)


def _run_jobs(inlet: Inlet, equipment: "Equipment", output: ProcessOutput, expiry: Expiry) -> None:
    from farm_worker.pool.work import Work  # noqa: PLC0415 - imports RQ, see above

    surroundings = Surroundings()
    work = Work(equipment, surroundings.settle)
    while (message := inlet.next_job()) is not None:
        if not _run_job(message, inlet, work, surroundings, output, expiry):
            return


def _run_job(
    message: RunJob, inlet: Inlet, work: "Work", surroundings: Surroundings, output: ProcessOutput, expiry: Expiry
) -> bool:
    """Whether others may follow it. Every call here costs microseconds: after a job nothing of it is in the caches."""
    output.begin(message.sequence)
    expiry.begin(message.expires_at, must_end=message.must_end)
    outcome = work.run_measured(message, is_last=not inlet.messages)
    if message.must_end:
        expiry.end()
    left = surroundings.left(work.package)
    if (attempt := work.attempt) is not None:
        left = left or attempt.left_tasks
    output.end(message.sequence)
    if left:
        inlet.send(Dirty(left))
    is_heard = inlet.send(outcome)
    surroundings.restore()  # nobody waits for that: the next job finds it done
    if not work.ahead:
        work.look_ahead(inlet.messages)
    if is_heard and attempt is not None:
        attempt.send_webhooks(outcome)
    return is_heard and not left


def _run_side_by_side(
    inlet: Inlet,
    equipment: "Equipment",
    output: ProcessOutput,
    expiry: Expiry,
    interruption: Interruption,
    concurrency: int,
) -> None:
    """Coroutine jobs beside each other, all others one at a time."""
    from farm_worker.pool.coroutine_jobs import CoroutineJobs  # noqa: PLC0415 - imports RQ, see above
    from farm_worker.pool.work import Work  # noqa: PLC0415 - as well

    surroundings = Surroundings()
    work = Work(equipment, surroundings.settle)
    jobs = CoroutineJobs(equipment, inlet, output, expiry, concurrency)
    interruption.stop_job = jobs.stop
    while (message := inlet.next_job()) is not None:
        modules = len(sys.modules)
        job = jobs.look(message)
        if len(sys.modules) != modules:
            surroundings.settle()
        if job is None:
            jobs.keep_apart()
            if not _run_job(message, inlet, work, surroundings, output, expiry):
                return
            continue
        expiry.begin(message.expires_at, must_end=False)
        left = jobs.run(job)
        left = surroundings.left(lambda: "") or left
        surroundings.restore()
        if left:
            inlet.send(Dirty(left))
            return


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except BaseException:  # noqa: BLE001 - as the interpreter would, but without waiting for what is left
        traceback.print_exc()
        code = 1
    leave(code)
