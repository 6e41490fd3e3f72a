"""What commands show of a host."""

from collections.abc import Iterable

from farm.cli.host_load import sources
from farm.store.snapshot import HostView

NUMBERS = frozenset(
    {"load", "threshold", "cpu", "cpu_count", "memory", "memory_total", "slots", "busy", "jobs"}
    | {"own_load", "others_load", "memory_left", "pressure_cpu", "pressure_memory", "pressure_io"}
    | {"idle", "idle_processes", "prefetch", "capacity", "assigned", "pid"}
)
"""Fields of a host that are numbers in JSON."""


def memory_share(host: HostView) -> str:
    """How much of its memory is in use."""
    used, total = host.number("memory"), host.number("memory_total")
    if not used or not total:
        return "-"
    return f"{used / total:.0%}"


def labels_of(host: HostView) -> list[str]:
    """What jobs may require of it."""
    return [label for label in host.fields.get("labels", "").split(",") if label]


def silence(host: HostView) -> Iterable[str]:
    """A line for those who said something to a host that does not answer."""
    if host.standing != "live":
        yield f"it is {host.standing} ({host.reason}): it hears of it when it beats again"


def host_as_json(host: HostView) -> dict[str, object]:
    """All that it published, and what Redis knows of it."""
    numbers = {name: host.number(name) for name in host.fields if name in NUMBERS}
    return {
        **host.fields,
        **{name: int(value) if value is not None and value.is_integer() else value for name, value in numbers.items()},
        "name": host.name,
        "state": host.state,
        "standing": host.standing,
        "beat_age": round(host.beat_age, 3),
        "reason": host.reason,
        **({"sources": sources(host)} if "sources" in host.fields else {}),
        "queues": host.queues,
        "labels": labels_of(host),
        "inbox": host.inbox,
        "running": host.running,
    }
