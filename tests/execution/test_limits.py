"""When a host ends by itself."""

import asyncio
from types import SimpleNamespace

import pytest

from farm_worker.limits import LimitPace, Limits
from farm_worker.stopping import Stopping

OFF = {"burst": False, "max_jobs": None, "max_idle_time": None, "queues": ("default",)}


@pytest.mark.parametrize(("ready", "idle_target", "ends"), [(1, 1, True), (0, 0, True), (0, 1, False)])
def test_an_idle_host_ends_unless_its_processes_still_warm_up(ready: int, idle_target: int, ends: bool) -> None:
    execution = SimpleNamespace(
        unsettled=0, inbox=0, finished_jobs=0, pool=SimpleNamespace(ready=ready, idle_target=idle_target)
    )

    async def scenario() -> None:
        stopping = Stopping()
        settings = SimpleNamespace(**{**OFF, "max_idle_time": 0.05})
        watching = asyncio.create_task(
            Limits(settings, SimpleNamespace(), lambda: None, execution, stopping, LimitPace(0.0)).run()  # type: ignore[arg-type]
        )
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=5.0 if ends else 0.5)
        watching.cancel()
        assert stopping.requested is ends

    asyncio.run(scenario())


@pytest.mark.parametrize("suspended", [True, False])
def test_a_burst_does_not_wait_for_the_end_of_a_suspension(suspended: bool) -> None:
    execution = SimpleNamespace(unsettled=0, inbox=0, finished_jobs=0, pool=SimpleNamespace(ready=1, idle_target=1))

    async def one(*_: object) -> int:
        return 1

    async def is_suspended() -> bool:
        return suspended

    async def scenario() -> None:
        stopping = Stopping()
        settings = SimpleNamespace(**{**OFF, "burst": True})
        store = SimpleNamespace(unfinished=one, suspended=is_suspended)
        watching = asyncio.create_task(
            Limits(settings, store, object, execution, stopping, LimitPace(0.0, 0.0)).run()  # type: ignore[arg-type]
        )
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=5.0 if suspended else 0.3)
        watching.cancel()
        assert stopping.requested is suspended

    asyncio.run(scenario())
