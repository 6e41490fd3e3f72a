"""The event loop of processes wakes in time."""

import asyncio
import selectors
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from farm_worker.pool.punctual_loop import new_event_loop


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    one = new_event_loop()
    yield one
    one.close()
    asyncio.set_event_loop(None)


def shortest_wait(selector: selectors.BaseSelector) -> float:
    """Of many for 0.3 ms: by a loop it would be shorter where the machine is slow, as it asks for what is left."""
    found = []
    for _ in range(200):
        began = time.perf_counter()
        selector.select(0.0003)
        found.append(time.perf_counter() - began)
    return min(found)


def test_a_short_wait_is_not_rounded_up_to_a_millisecond(loop: asyncio.AbstractEventLoop) -> None:
    usual = selectors.EpollSelector()
    try:
        assert shortest_wait(loop._selector) < shortest_wait(usual) / 2  # type: ignore[attr-defined]
    finally:
        usual.close()


def test_what_comes_amid_a_short_wait_ends_it(loop: asyncio.AbstractEventLoop) -> None:
    async def scene() -> None:
        came = asyncio.Event()
        ticks = asyncio.create_task(tick())
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(came.set))
        thread.start()
        async with asyncio.timeout(10):
            await came.wait()
        thread.join()
        ticks.cancel()

    async def tick() -> None:
        while True:
            await asyncio.sleep(0.05)

    loop.run_until_complete(scene())


def test_it_is_the_loop_of_its_thread(loop: asyncio.AbstractEventLoop) -> None:
    assert asyncio.get_event_loop() is loop


def test_a_loop_that_an_app_chose_by_its_policy_stays() -> None:
    class Loop(asyncio.SelectorEventLoop):
        """As uvloop's would be: of a class of its own."""

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of policies, from Python 3.14 on

        class Policy(asyncio.DefaultEventLoopPolicy):
            _loop_factory = Loop

        asyncio.set_event_loop_policy(Policy())
        try:
            chosen = new_event_loop()
        finally:
            asyncio.set_event_loop_policy(None)
    assert type(chosen) is Loop
    chosen.close()
