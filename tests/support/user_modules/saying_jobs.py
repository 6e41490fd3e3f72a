"""Jobs that print and log, in all the ways there are."""

import asyncio
import contextvars
import io
import logging
import logging.config
import os
import subprocess
import sys
import threading

import farm

_logger = logging.getLogger("shop.bill")


def say(text: str = "hello") -> None:
    print(text)


def say_twice(text: str) -> None:
    print(text, 1)
    print(text, 2, file=sys.stderr)


def say_without_end(text: str) -> None:
    print("a whole line")
    print(text, end="", flush=True)


def say_nothing() -> None:
    pass


def log(**extra: object) -> None:
    _logger.debug("not asked for")
    _logger.warning("customer %d owes", 7, extra=extra or None)


def bind_and_say() -> None:
    job = farm.current_job()
    assert job is not None
    job.log_fields["call"] = 5
    print("bound")


def log_an_error() -> None:
    try:
        raise LookupError("no customer 7")
    except LookupError:
        _logger.exception("could not bill")


def log_with_handler_of_its_own() -> None:
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"mine": {"format": "mine: %(message)s"}},
            "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine"}},
            "loggers": {"shop.own": {"handlers": ["mine"]}},
        }
    )
    logging.getLogger("shop.own").warning("said once")
    logging.getLogger("shop.own").handlers.clear()


def log_after_basic_config() -> None:
    root = logging.getLogger()
    handlers = root.handlers[:]
    logging.basicConfig(force=True, format="forced: %(message)s")
    _logger.warning("said once")
    root.handlers[:] = handlers


def log_odd_values() -> None:
    circle: list[object] = []
    circle.append(circle)
    extra = {"big": 1 << 80, "bad": "\udcff", "nan": float("nan"), "circle": circle, "a_set": {1}, "of": {"k": [1]}}
    _logger.warning("odd \udcff", extra=extra)


def say_in_threads() -> None:
    context = contextvars.copy_context()
    threads = [threading.Thread(target=print, args=("in a thread",))]
    threads.append(threading.Thread(target=context.run, args=(print, "in a thread with context")))
    for thread in threads:
        thread.start()
        thread.join()


def say_without_end_in_a_thread() -> None:
    thread = threading.Thread(target=print, args=("in a thread, no end",), kwargs={"end": ""})
    thread.start()
    thread.join()


async def say_in_tasks() -> None:
    async def one(number: int) -> None:
        await asyncio.sleep(0)
        print("task", number)

    await asyncio.gather(one(1), one(2))


def say_from_below() -> None:
    subprocess.run(["sh", "-c", "echo from a program; echo and its errors >&2"], check=True)
    os.write(1, b"from C code\n")
    subprocess.run(["echo", "to our stream"], stdout=sys.stdout, check=True)


def say_in_a_fork() -> None:
    pid = os.fork()
    if not pid:
        print("printed in a fork")
        _logger.warning("logged in a fork")
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)
    print("printed by the parent")


def say_bytes() -> None:
    sys.stdout.buffer.write("grün\n".encode())
    sys.stdout.buffer.write(b"not \xff text\n")
    print("half of a pair \udcff")


def use_stream_as_a_file() -> list[object]:
    out = sys.stdout
    out.reconfigure(encoding="latin-1")
    with out:
        out.writelines(["one\n", "two\n"])
    wrapped = io.TextIOWrapper(out.buffer, encoding="utf-8", line_buffering=True)
    wrapped.write("three\n")
    del wrapped
    print("four")
    return [out.isatty(), out.encoding, out.errors, out.fileno(), out.closed, out.writable(), out.readable(), out.name]


def replace_stdout() -> None:
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
    print("through a wrapper")


def show_progress() -> None:
    for percent in range(0, 101, 10):
        print(f"\r{percent} %", end="", file=sys.stderr)
    print(file=sys.stderr)


def say_long_line(length: int) -> None:
    print("x" * length)


def say_lines(count: int, text: str = "line", done: str = "") -> None:
    for number in range(count):
        print(text, number)
    if done:
        with open(done, "w"):
            pass


def flood_with_prints(megabytes: int) -> None:
    text = "x" * 1_000_000
    for _ in range(megabytes):
        print(text)
    _logger.error("after the flood")


def flood_from_below(gigabytes: str) -> None:
    subprocess.run(["head", "-c", gigabytes, "/dev/zero"], check=True)


def say_and_die(text: str) -> None:
    for number in range(30):
        print("line", number)
    os.write(2, f"{text}\n".encode())
    os._exit(3)


def say_until_timeout() -> None:
    while True:
        print("x" * 10)


def noise(seed: int, count: int) -> None:
    for number in range(count):
        print(f"print {seed} {number} " + "y" * (number % 300))
        _logger.info("log %d %d", seed, number, extra={"seed": seed})
    os.write(1, b"raw %d\n" % seed)
