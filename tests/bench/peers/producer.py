"""Enqueues in the environment of a peer, as the benchmark says on its standard input: a line of JSON each way.

usage: producer.py ADAPTER [describe]
"""

import asyncio
import base64
import importlib
import json
import os
import random
import sys
import time
from typing import Any

import marks
from adapter import Adapter

ASKED_AGAIN_SECONDS = 0.0005
JOB_TIMEOUT_SECONDS = 60.0


class Producer:
    """Answers requests; each of its methods is one."""

    def __init__(self, adapter: Adapter) -> None:
        self._adapter = adapter
        self._marks = marks.Marks(os.environ[marks.VARIABLE])

    async def each(self, job: str, first: int, count: int, arguments: list[Any]) -> dict[str, Any]:
        """Enqueues one after the other."""
        began = time.perf_counter()
        for index in range(first, first + count):
            await self._adapter.enqueue(job, index, *arguments)
        return {"seconds": time.perf_counter() - began}

    async def many(self, job: str, first: int, count: int, arguments: list[Any]) -> dict[str, Any]:
        """Enqueues all at once."""
        rows = [(index, *arguments) for index in range(first, first + count)]
        began = time.perf_counter()
        await self._adapter.enqueue_many(job, rows)
        return {"seconds": time.perf_counter() - began}

    async def payloads(self, job: str, first: int, count: int, size: int) -> dict[str, Any]:
        """Enqueues jobs with random bytes, others for each, one after the other."""
        made = [self._payload(size) for _ in range(count)]
        began = time.perf_counter()
        for offset, payload in enumerate(made):
            await self._adapter.enqueue(job, first + offset, payload)
        return {"seconds": time.perf_counter() - began}

    async def single(self, job: str, first: int, arguments: list[Any]) -> dict[str, Any]:
        """One job, until it is done: when it was called, in nanoseconds."""
        called = time.monotonic_ns()
        await self._adapter.enqueue(job, first, *arguments)
        await self._until_done(first)
        return {"called": called}

    async def starts(self, first: int, samples: int, seconds: float, pauses: list[float]) -> dict[str, Any]:
        """When each job was called, on a system that idles in between."""
        return await self._paced(first, samples, seconds, pauses, with_result=False)

    async def results(self, first: int, samples: int, seconds: float, pauses: list[float]) -> dict[str, Any]:
        """When each job was called, and when its result was here."""
        return await self._paced(first, samples, seconds, pauses, with_result=True)

    async def _paced(
        self, first: int, samples: int, seconds: float, pauses: list[float], *, with_result: bool
    ) -> dict[str, Any]:
        called: list[int] = []
        received: list[int] = []
        deadline = time.monotonic() + seconds
        while len(called) < samples and time.monotonic() < deadline:
            index = first + len(called)
            await asyncio.sleep(random.uniform(*pauses))
            called.append(time.monotonic_ns())
            handle = await self._adapter.enqueue("nothing", index)
            if with_result:
                value = await self._adapter.result(handle)
                received.append(time.monotonic_ns())
                assert value == index, f"the result of job {index} is {value!r}"
            else:
                await self._until_done(index)
        return {"called": called, "received": received}

    async def _until_done(self, index: int) -> None:
        deadline = time.monotonic() + JOB_TIMEOUT_SECONDS
        while not self._marks.row(index)[1]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {index} was not done after {JOB_TIMEOUT_SECONDS:g} s")
            await asyncio.sleep(ASKED_AGAIN_SECONDS)

    def _payload(self, size: int) -> bytes | str:
        payload = os.urandom(size)
        return payload if self._adapter.PAYLOAD_IS_BYTES else base64.b64encode(payload).decode()


async def serve(producer: Producer) -> None:
    """Answers until the input ends. What goes wrong is an answer, too."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        request = json.loads(line)
        try:
            answer = await getattr(producer, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


def main() -> None:
    adapter: Any = importlib.import_module(sys.argv[1])
    if sys.argv[2:] == ["describe"]:
        print(json.dumps({mode: [text, adapter.commands(mode)] for mode, text in adapter.SETTINGS.items()}))
        return
    asyncio.run(serve(Producer(adapter)))
    os._exit(0)  # some leave threads behind that would wait


if __name__ == "__main__":
    main()
