"""No job system: two processes that read what to do from a file. What is left of two CPUs with nothing in between.

usage of its worker: bare_peer.py NUMBER
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import marks
from adapter import MANY, MODE, PROCESSES
from jobs import JOBS, as_coroutines

SETTINGS = {
    "default": f"no job system: {PROCESSES} processes that read from a file which functions to call",
    "many": f"no job system: {PROCESSES} such processes with {MANY // PROCESSES} coroutines at a time in each",
}
PAYLOAD_IS_BYTES = False
LOOK_SECONDS = 0.01

_list = Path(os.environ.get(marks.VARIABLE, "marks")).with_name("list")


def commands(mode: str) -> list[list[str]]:
    """One program for each process."""
    return [[sys.executable, "bare_peer.py", str(number)] for number in range(PROCESSES)]


async def enqueue(job: str, *arguments: Any) -> Any:
    """One line."""
    await enqueue_many(job, [arguments])


async def enqueue_many(job: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """A line for each, at once."""
    with _list.open("a") as file:
        file.write("".join(json.dumps([job, *row]) + "\n" for row in rows))


async def result(handle: Any) -> Any:
    """There are none."""
    raise NotImplementedError


def _lines(number: int) -> Iterator[list[Any] | None]:
    """Every second line, as they come; None while there is none."""
    while not _list.exists():
        yield None
    with _list.open() as file:
        place = 0
        while True:
            line = file.readline()
            if not line:
                yield None
                continue
            if place % PROCESSES == number:
                yield json.loads(line)
            place += 1


def _call_each(number: int) -> None:
    for line in _lines(number):
        if line is None:
            time.sleep(LOOK_SECONDS)
        else:
            name, *arguments = line
            JOBS[name](*arguments)


async def _call_several(number: int) -> None:
    lines, jobs = _lines(number), as_coroutines()

    async def call() -> None:
        while True:
            line = next(lines)
            if line is None:
                await asyncio.sleep(LOOK_SECONDS)
            else:
                name, *arguments = line
                await jobs[name](*arguments)

    await asyncio.gather(*(call() for _ in range(MANY // PROCESSES)))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        if MODE == "many":
            asyncio.run(_call_several(int(sys.argv[1])))
        else:
            _call_each(int(sys.argv[1]))
