"""An outage is over for each activity once it works again: the next one is said anew, and pauses begin short."""

import asyncio
import logging
from types import SimpleNamespace

import pytest
import redis

from farm.coordinator.placer import Placer
from farm.coordinator.trouble import Trouble
from farm.coordinator.waking import Waking


def test_waiting_that_works_again_ends_the_trouble(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    class Bell:
        rings = 0

        async def bell(self, seconds: float) -> bool:
            self.rings += 1
            if self.rings in (1, 3):
                raise redis.ConnectionError("away")
            await asyncio.sleep(0)
            return True

        async def room(self, seconds: float) -> bool:
            raise AssertionError("nobody waits for room")

        def close(self) -> None: ...

    async def scenario() -> None:
        bell = Bell()
        async with Waking(bell, Trouble()) as waking:  # type: ignore[arg-type]
            while bell.rings < 5:
                await waking.sleep((), 0.01, for_room=False)

    asyncio.run(scenario())
    said = [record.message for record in caplog.records]
    assert [text.partition(":")[0] for text in said] == [
        "Redis trouble while waiting for jobs",
        "Redis answers again",
    ] * 2


def test_a_placer_tells_of_each_contact() -> None:
    contacts: list[int] = []

    async def scenario() -> None:
        placer = Placer(SimpleNamespace(begin=lambda: None, fronts=None), 3.0)  # type: ignore[arg-type]
        looks = 0

        async def look(_: object) -> SimpleNamespace:
            nonlocal looks
            looks += 1
            if looks == 3:
                raise redis.ConnectionError("away")
            return SimpleNamespace(placed=0, ahead=0, backlog=False, more=True)

        placer.run_once = look  # type: ignore[method-assign, assignment]
        with pytest.raises(redis.ConnectionError):
            await placer.run(None, None, lambda: contacts.append(looks))  # type: ignore[arg-type]

    asyncio.run(scenario())
    assert contacts == [1, 2]
