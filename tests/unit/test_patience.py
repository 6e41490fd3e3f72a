"""Time limits that a host which stood still blames on nobody."""

import asyncio
import threading

import pytest

from farm_worker import patience
from farm_worker.patience import within


def test_what_comes_in_time_is_returned() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(within(answer(), 10)) == 7


def test_what_takes_too_long_is_cancelled() -> None:
    async def scene() -> bool:
        late = asyncio.create_task(asyncio.Event().wait())
        with pytest.raises(TimeoutError):
            await within(late, 0.01)
        return late.cancelled()

    assert asyncio.run(scene())


def test_what_it_waited_for_is_cancelled_with_the_waiting() -> None:
    async def scene() -> bool:
        inner = asyncio.create_task(asyncio.Event().wait())
        waiting = asyncio.create_task(within(inner, 10))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        return inner.cancelled() and waiting.cancelled()

    assert asyncio.run(scene())


def test_the_time_in_which_the_host_stood_still_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STEP_SECONDS", 0.05)

    async def scene() -> str:
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[str] = loop.create_future()

        def stand_still() -> None:
            threading.Event().wait(1.5)  # ten times the limit, and nothing else of this loop runs
            loop.call_later(0.01, answered.set_result, "answered")

        loop.call_later(0.01, stand_still)
        return await within(answered, 0.15)

    assert asyncio.run(scene()) == "answered"
