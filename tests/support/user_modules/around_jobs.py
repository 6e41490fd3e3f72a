"""Jobs that use what surrounds them, and jobs that leave a mess. Run by real processes in the tests."""

import asyncio
import contextvars
import ctypes
import gc
import locale
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from rq import get_current_job

import farm

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
colour = contextvars.ContextVar("colour", default="none")


def append(path, text):
    with Path(path).open("a") as file:
        file.write(f"{text}\n")


def add(first, second):
    return first + second


# --- the current job


def describe():
    job = farm.current_job()
    return {
        "id": job.id,
        "queue": job.queue,
        "attempt": job.attempt,
        "payload": job.payload,
        "meta": job.meta,
        "number": job.process.number,
        "log_fields": dict(job.log_fields),
    }


def bind(**fields):
    farm.current_job().log_fields.update(fields)


def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    subprocess.run([sys.executable, "-c", f"import time\nwhile time.process_time() < {seconds}: pass"], check=True)
    used = farm.current_job().usage()
    return used.cpu_seconds, used.wall_seconds, used.memory, used.peak


def report(count, pause):
    for number in range(1, count + 1):
        farm.current_job().progress(number / count, f"{number} of {count}")
        time.sleep(pause)


def report_from_a_thread():
    thread = threading.Thread(target=farm.current_job().progress, args=(None, "from a thread"))
    thread.start()
    thread.join()


def wait_until_cancelled():
    job = farm.current_job()
    while not job.is_cancelled:
        time.sleep(0.005)
    job.raise_if_cancelled()


def ignore_cancel():
    job = farm.current_job()
    while not job.is_cancelled:
        time.sleep(0.005)
    return "done all the same"


def claim_to_be_cancelled():
    farm.current_job().raise_if_cancelled()
    raise farm.JobCancelled("nobody asked")


def on_stopped(job, connection):
    append(job.meta["path"], f"stopped {job.get_status(refresh=False).value}")


def call_back(path, fail=False, broken=False):
    job = farm.current_job()

    async def later():
        await asyncio.sleep(0)
        append(path, "async")

    def broken_callback():
        raise LookupError("the callback is broken")

    job.add_shutdown_callback(lambda: append(path, "added first"))
    if broken:
        job.add_shutdown_callback(broken_callback)
    job.add_shutdown_callback(later)
    append(path, "job")
    if fail:
        raise RuntimeError("boom")
    return "value"


# --- what a job may leave


def set_colour(value):
    before = colour.get()
    colour.set(value)
    return before


def change_everything(folder):
    os.chdir(folder)
    os.umask(0)
    os.environ["MESS"] = "1"
    os.environ["PATH"] = "/nowhere"
    del os.environ["RQ_WORKER_ID"]
    sys.path.insert(0, folder)
    socket.setdefaulttimeout(3.5)
    gc.disable()
    for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 7, hard))
    sys.setprofile(lambda *_: None)
    sys.settrace(lambda *_: None)
    locale.setlocale(locale.LC_NUMERIC, "C")


def look_around():
    mask = os.umask(0o22)
    os.umask(mask)
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1)
    return {
        "folder": os.getcwd(),
        "mask": mask,
        "environment": {name: value for name, value in os.environ.items() if name != "RQ_JOB_ID"},
        "path": list(sys.path),
        "timeout": socket.getdefaulttimeout(),
        "collects": gc.isenabled(),
        "handlers": [int(signal.getsignal(number)) for number in numbers],
        "limit": resource.getrlimit(resource.RLIMIT_NOFILE),
        "traced": sys.gettrace() is not None or sys.getprofile() is not None,
        "output": [os.fstat(number).st_ino for number in (0, 1, 2)],
        "threads": threading.active_count(),
        "pid": os.getpid(),
    }


def change_folder_past_python(folder, seconds):
    ctypes.CDLL(None).chdir(folder.encode())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return os.getcwd()


def replace_environment():
    os.environ = {"ONLY": "this"}  # noqa: B003 - what a job may do


def redirect_output(path):
    file = os.open(path, os.O_CREAT | os.O_WRONLY)
    for number in (0, 1, 2):
        os.dup2(file, number)
    os.close(file)


def close_output():
    os.close(1)
    os.close(2)


def leave_thread(daemon):
    threading.Thread(target=time.sleep if daemon == "library" else _sleep, args=(600,), daemon=bool(daemon)).start()


def _sleep(seconds):
    time.sleep(seconds)


def leave_thread_that_ends():
    threading.Thread(target=time.sleep, args=(0.02,)).start()


_executors = []


def leave_executor(busy):
    executor = ThreadPoolExecutor(2)
    _executors.append(executor)
    executor.submit(time.sleep, 600 if busy else 0).done()


async def leave_busy_default_executor():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)


async def use_default_executor():
    return await asyncio.to_thread(add, 1, 2)


async def leave_stubborn_task():
    async def stubborn():
        while True:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(600)

    leave_stubborn_task.task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0)


def leave_child(path):
    child = subprocess.Popen(SLEEPER)
    Path(path).write_text(str(child.pid))


def leave_ended_child():
    subprocess.Popen(["true"])


def leave_daemon(path):
    """A grandchild in a session of its own, as daemons are."""
    program = (
        "import os, pathlib, sys, time\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True)
    while not Path(path).exists() or not Path(path).read_text():
        time.sleep(0.005)


def lower_limit_for_good():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def everything(folder, megabytes):
    """Done-when 8 of the pool."""
    leave_daemon(Path(folder, "pid"))
    os.closerange(3, 256)
    block = "x" * 79 + "\n"
    text = block * (1_000_000 // len(block))
    for _ in range(megabytes):
        sys.stdout.write(text)
    change_everything(folder)
    threading.Thread(target=_sleep, args=(600,)).start()
    return "done"


# --- other ends (faults)


def fork_without_end(path, depth):
    """Each process forks two more, down to `depth`; all of them stay. Half of them have sessions of their own."""
    for session in (False, True):
        if depth and os.fork() == 0:
            if session:
                os.setsid()
            fork_without_end(path, depth - 1)
    append(path, os.getpid())
    time.sleep(600)


def use_up_address_space():
    """As where a limit on memory is set for a service."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, resource.getrlimit(resource.RLIMIT_AS)[1]))
    return len(bytearray(1_000_000_000))


def exit_at_once(code):
    os._exit(code)


def end_generator():
    raise GeneratorExit


class Unreducible(Exception):
    def __reduce__(self):
        raise ValueError("no pickle of me")


def fail_unreducibly():
    raise Unreducible("cannot be pickled")


def close_all():
    os.closerange(0, 1 << 20)


def write_garbage():
    for number in range(3, 4096):
        with suppress(OSError):
            os.write(number, b"\xff" * 100)
    os.write(1, b"\xff\xfe garbage\n")
    os.write(2, b"\xff\xfe garbage\n")


def hang_at_exit():
    import atexit

    atexit.register(time.sleep, 600)
    threading.Thread(target=_sleep, args=(600,)).start()
    return "fine"


def become_nobody():
    os.setegid(65534)
    os.seteuid(65534)


def core_limit():
    return resource.getrlimit(resource.RLIMIT_CORE)


def work_off(name):
    from rq import Queue, SimpleWorker

    connection = get_current_job().connection
    SimpleWorker([Queue(name, connection=connection)], connection=connection).work(burst=True)
