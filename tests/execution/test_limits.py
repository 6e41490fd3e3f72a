"""When a host ends by itself."""

import asyncio
from types import SimpleNamespace

import pytest

from farm_worker import limits
from farm_worker.limits import Limits
from farm_worker.stopping import Stopping

OFF = {"burst": False, "max_jobs": None, "max_idle_time": None, "queues": ("default",)}


@pytest.mark.parametrize(("ready", "idle_target", "ends"), [(1, 1, True), (0, 0, True), (0, 1, False)])
def test_an_idle_host_ends_unless_its_processes_still_warm_up(
    monkeypatch: pytest.MonkeyPatch, ready: int, idle_target: int, ends: bool
) -> None:
    monkeypatch.setattr(limits, "CHECK_SECONDS", 0.0)
    execution = SimpleNamespace(
        unsettled=0, inbox=0, finished_jobs=0, pool=SimpleNamespace(ready=ready, idle_target=idle_target)
    )

    async def scenario() -> None:
        stopping = Stopping()
        settings = SimpleNamespace(**{**OFF, "max_idle_time": 0.05})
        watching = asyncio.create_task(
            Limits(settings, SimpleNamespace(), lambda: None, execution, stopping).run()  # type: ignore[arg-type]
        )
        await asyncio.wait([asyncio.create_task(stopping.wait())], timeout=5.0 if ends else 0.5)
        watching.cancel()
        assert stopping.requested is ends

    asyncio.run(scenario())
