"""A host as the coordinator sees it, for tests of its policies."""

from dataclasses import replace
from typing import Any

from farm.store.survey import HostView

IDLE = HostView(
    name="a",
    identity="1-a",
    beat_at=999.5,
    state="available",
    load=0.0,
    threshold=0.75,
    slots=4,
    busy=0,
    assigned=0,
    held=0,
    capacity=4,
    queues=("default",),
)


def host_view(name: str = "a", **fields: Any) -> HostView:
    """One that has nothing to do, but for `fields`."""
    return replace(IDLE, **{"name": name, "identity": f"1-{name}"} | fields)
