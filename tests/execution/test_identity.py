"""A name is taken over at once only from a process that is known to be gone."""

import asyncio
import os

import psutil
import pytest

from farm.errors import NameInUse
from farm.store.hosts import NameTaken, Registration
from farm_worker import identity


class Store:
    """One name, held by `holder`; it is given to whoever knows that the holder is dead."""

    def __init__(self, holder: NameTaken) -> None:
        self.holder = holder

    async def register(
        self, host: str, dead_pid: int | None = None, *, again: bool = False
    ) -> Registration | NameTaken:
        return self.holder if dead_pid is None else Registration(host, "2-x")


def dead_pid() -> int:
    return next(pid for pid in range(2, 1 << 22) if not psutil.pid_exists(pid))


def holder(**changes: object) -> NameTaken:
    values = {"pid": dead_pid(), "boot_id": identity.boot_id(), "pid_namespace": identity.pid_namespace()} | changes
    return NameTaken(hostname="box", age=1.0, **values)  # type: ignore[arg-type]


def test_a_dead_process_of_this_machine_gives_its_name_up() -> None:
    assert asyncio.run(identity.register(Store(holder()), "one")).host == "one"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [{"boot_id": "another machine"}, {"pid_namespace": "pid:[another container]"}, {"pid": os.getpid()}, {"pid": 1}],
    ids=["another machine", "another container", "this process", "a living process"],
)
def test_a_process_that_cannot_be_seen_from_here_or_lives_keeps_its_name(changes: dict[str, object]) -> None:
    with pytest.raises(NameInUse):
        asyncio.run(identity.register(Store(holder(**changes)), "one"))  # type: ignore[arg-type]
