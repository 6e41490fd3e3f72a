"""What `farm host` shows of a host's load: each number, and where the host read it."""

import json
from collections.abc import Iterator

from farm.store.snapshot import HostView

LOAD_COLUMNS = ("number", "value", "source")

_PRESSURES = {"pressure_cpu": "pressure, CPU", "pressure_memory": "pressure, memory", "pressure_io": "pressure, disks"}
_DECIDES = {
    "cgroup": "by the cgroup, which is fuller than the machine",
    "machine": "by the machine, which is as full as the cgroup or fuller",
    "app": "by the app's load function",
}


def sources(host: HostView) -> dict[str, str]:
    """Number → where it was read; empty for a host that does not say."""
    try:
        found = json.loads(host.fields.get("sources", ""))
    except ValueError:
        return {}
    return {str(name): str(source) for name, source in found.items()} if isinstance(found, dict) else {}


def load_rows(host: HostView) -> Iterator[tuple[str, str, str]]:
    """Rows under LOAD_COLUMNS; none for a host that does not say where its load comes from."""
    found = sources(host)
    if not found:
        return
    cpu_count = _number(host, "cpu_count", "{:g}")
    decides = _DECIDES.get(host.fields.get("load_source", ""), "")
    yield "load", f"{_number(host, 'load')} {decides}".strip(), found.get("load", "")
    yield "CPU, last interval", f"{_number(host, 'cpu')} of {cpu_count} CPUs", found.get("cpu", "")
    yield "CPUs allowed", cpu_count, found.get("cpu_count", "")
    yield "own load", f"{_number(host, 'own_load')} of {cpu_count} CPUs", found.get("own_load", "")
    yield "others' load", f"{_number(host, 'others_load')} would remain without this host", "load less own load"
    yield "memory", f"{_gigabytes(host, 'memory')} of {_gigabytes(host, 'memory_total')}", found.get("memory", "")
    yield "memory left", f"{_gigabytes(host, 'memory_left')} until it is full", found.get("memory_total", "")
    for name, title in _PRESSURES.items():
        share = host.number(name)
        if share is not None:
            yield title, f"{share:.1%} of the last 10 s", found.get(name, "")
    yield "slots", f"{_number(host, 'slots', '{:.0f}')}, {_number(host, 'busy', '{:.0f}')} busy", "the host's processes"


def _number(host: HostView, name: str, form: str = "{:.2f}") -> str:
    number = host.number(name)
    return "-" if number is None else form.format(number)


def _gigabytes(host: HostView, name: str) -> str:
    size = host.number(name)
    return "-" if size is None else f"{size / 1e9:.2f} GB"
