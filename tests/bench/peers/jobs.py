"""The jobs that every system runs. Each marks when it began and was done, and returns its number: a result to store."""

import asyncio
import functools
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import marks
from arithmetic import work

if os.environ.get("BENCH_PRELOAD"):
    import large_application  # noqa: F401 - as an application that declares its tasks is imported by a worker


def nothing(index: int) -> int:
    """Costs nothing itself: what is measured is everything around it."""
    marks.write(index, time.monotonic_ns())
    return index


def burn(index: int, repetitions: int) -> int:
    """CPU, the same work whoever runs it."""
    begun, cpu_begun = time.monotonic_ns(), time.thread_time_ns()
    work(repetitions)
    marks.write(index, begun, time.thread_time_ns() - cpu_begun)
    return index


def nap(index: int, seconds: float) -> int:
    """Waits, as for a network."""
    begun = time.monotonic_ns()
    time.sleep(seconds)
    marks.write(index, begun)
    return index


def swallow(index: int, payload: bytes | str) -> int:
    """Has a large argument."""
    begun = time.monotonic_ns()
    assert payload
    marks.write(index, begun)
    return index


def look(index: int) -> int:
    """Needs an application that takes a second to import and has 50 MB."""
    begun = time.monotonic_ns()
    import large_application

    assert large_application.rows
    marks.write(index, begun)
    return index


async def nap_on_the_loop(index: int, seconds: float) -> int:
    """`nap` for systems whose jobs are coroutines."""
    begun = time.monotonic_ns()
    await asyncio.sleep(seconds)
    marks.write(index, begun)
    return index


JOBS: dict[str, Callable[..., int]] = {each.__name__: each for each in (nothing, burn, nap, swallow, look)}


def as_coroutines() -> dict[str, Callable[..., Awaitable[int]]]:
    """The same jobs for systems whose jobs are coroutines."""
    return {name: _as_coroutine(function) for name, function in JOBS.items()} | {"nap": nap_on_the_loop}


def _as_coroutine(function: Callable[..., int]) -> Callable[..., Awaitable[int]]:
    @functools.wraps(function)
    async def job(*args: Any, **kwargs: Any) -> int:
        return function(*args, **kwargs)

    return job
