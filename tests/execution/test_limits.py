"""When a host ends by itself."""

import asyncio
from types import SimpleNamespace

import pytest

from farm_worker.limits import LimitPace, Limits
from farm_worker.stopping import Stopping

OFF = {"burst": False, "max_jobs": None, "exit_when_idle": None, "queues": ("default",), "labels": ()}


async def none(*_: object) -> int:
    return 0


@pytest.mark.parametrize(("ready", "idle_target", "ends"), [(1, 1, True), (0, 0, True), (0, 1, False)])
def test_an_idle_host_ends_unless_its_processes_still_warm_up(ready: int, idle_target: int, ends: bool) -> None:
    execution = SimpleNamespace(
        unsettled=0, inbox=0, finished_jobs=0, pool=SimpleNamespace(ready=ready, idle_target=idle_target)
    )

    async def scenario() -> None:
        stopping = Stopping()
        settings = SimpleNamespace(**{**OFF, "exit_when_idle": 0.05})
        watching = asyncio.create_task(
            Limits(settings, SimpleNamespace(unfinished=none), object, execution, stopping, LimitPace(0.0)).run()  # type: ignore[arg-type]
        )
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=5.0 if ends else 0.5)
        watching.cancel()
        assert stopping.requested is ends

    asyncio.run(scenario())


def test_a_host_is_idle_only_if_nothing_waited_for_it_all_the_time() -> None:
    """Also while Redis does not answer, or this host lost its registration, jobs may wait."""
    execution = SimpleNamespace(unsettled=0, inbox=0, finished_jobs=0, pool=SimpleNamespace(ready=1, idle_target=1))
    looks: list[str] = []
    registered = [None, object()]

    async def unfinished(*_: object) -> int:
        looks.append("seen")
        if len(looks) == 1:
            raise ConnectionError
        return 1 if len(looks) < 4 else 0

    async def scenario() -> None:
        stopping = Stopping()
        settings = SimpleNamespace(**{**OFF, "exit_when_idle": 0.2})
        limits = Limits(
            settings,  # type: ignore[arg-type]
            SimpleNamespace(unfinished=unfinished),  # type: ignore[arg-type]
            lambda: registered.pop(0) if len(registered) > 1 else registered[0],  # type: ignore[arg-type, return-value]
            execution,  # type: ignore[arg-type]
            stopping,
            LimitPace(0.0),
        )
        since = asyncio.get_running_loop().time()
        watching = asyncio.create_task(limits.run())
        await asyncio.wait_for(stopping.wait(), 5.0)
        watching.cancel()
        # two fifths for the looks at which something might wait, and one without
        assert asyncio.get_running_loop().time() - since >= 0.1 * 4 + 0.2 - 0.01

    asyncio.run(scenario())
    assert len(looks) >= 5


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
