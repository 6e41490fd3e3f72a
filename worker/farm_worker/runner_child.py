"""The body of one copy of a runner: `python -P -m farm_worker.runner_child STREAM_FD LISTEN_FD`.

It imports the app, makes an object of the runner's class, initializes it, says so, and does one call, or one batch,
after the other. The user's code runs in the main thread; calls come and go in a second one, a third one answers the
host. It ends after the call that it does when the host closes the stream, and with the host, whatever becomes of that.
"""

import gc
import os
import random
import socket
import sys
import threading
import time

from farm.app_import import import_app
from farm.context import CurrentProcess, enter_process
from farm.errors import AppError
from farm.runner_declaration import Runner
from farm_worker.pool.entry import enter
from farm_worker.pool.inlet import Inlet
from farm_worker.pool.protocol import Initialize, Ping, Pong, Ready
from farm_worker.pool.surroundings import use_path
from farm_worker.runner_door import Door
from farm_worker.runner_work import Work


def main(arguments: list[str]) -> int:
    """The exit code: 0 when the host closed the stream or is gone."""
    entry = enter(int(arguments[0]))
    if entry is None:
        return 0
    listener = socket.socket(fileno=int(arguments[1]))
    listener.set_inheritable(False)
    use_path(entry.initialize.path)
    try:
        runner = _declared(entry.initialize)
        work = Work(runner)
        work.initialize()
        gc.collect()
        gc.freeze()  # what it loaded stays; collections between calls need not look through it
    except BaseException as error:  # noqa: BLE001 - the app is the user's code and may even call sys.exit
        return entry.fail(error)
    if entry.inlet.send(Ready(os.getpid(), time.monotonic() - entry.begun)):
        _serve(entry.inlet, Door(listener, runner.batch), work)
    work.close()
    entry.output.finish()
    return 0


def _declared(initialize: Initialize) -> Runner:
    """The runner whose copy this is. From here on `farm.current_process()` tells that."""
    process = CurrentProcess(initialize.host, initialize.process, os.getpid(), initialize.runners, initialize.facts)
    process.runner, process.copy = initialize.runner, initialize.copy
    enter_process(process)
    random.seed()  # copies that were started together must not draw the same numbers
    app = import_app(initialize.app or "")
    runner = app.runners.get(initialize.runner or "")
    if runner is None:
        raise AppError(f"app {initialize.app!r} no longer declares runner {initialize.runner!r}: restart the host.")
    return runner


def _serve(inlet: Inlet, door: Door, work: Work) -> None:
    door.open()
    threading.Thread(target=_answer_host, args=(inlet, door), name="farm-runner-host", daemon=True).start()
    while calls := door.next_calls():
        door.answer(calls, work.do([call.parts for call in calls]))
        del calls  # what a call carried may be large
    door.close()


def _answer_host(inlet: Inlet, door: Door) -> None:
    while isinstance(message := inlet.receive(), Ping):
        if not inlet.send(Pong(message.sequence)):
            break
    door.shut()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
