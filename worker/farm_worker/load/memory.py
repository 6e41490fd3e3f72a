"""Memory in use against what there is: our cgroup's limit, else the machine."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from farm_worker.load.cgroup import MemoryLimit
from farm_worker.load.files import KeptFile


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use, and the bytes that they count against."""

    used: int
    total: int

    @property
    def share(self) -> float:
        return self.used / self.total

    def left(self, line: float) -> int:
        """Bytes until this share of the total is in use, never below 0."""
        return max(int(line * self.total) - self.used, 0)


@dataclass(frozen=True, slots=True)
class MemorySources:
    """Where the use that counts was read, and what it counts against."""

    used: str
    total: str


def read_memory(limits: Iterable[MemoryLimit], machine: KeptFile) -> Memory:
    """The use that is nearest to its limit; without limits the machine's. Raises OSError, ValueError, psutil.Error."""
    return read_uses(limits, machine)[0][0]


def read_uses(limits: Iterable[MemoryLimit], machine: KeptFile) -> list[tuple[Memory, MemorySources]]:
    """Each use that counts against a limit, the nearest to its limit first; never empty. Raises as `read_memory`."""
    uses = [
        (Memory(limit.used(), limit.limit), MemorySources(f"{limit.usage}, {limit.statistics}", str(limit.file)))
        for limit in limits
    ]
    if not uses:
        uses = [(read_machine(machine), MemorySources(str(machine.path), str(machine.path)))]
    return sorted(uses, key=lambda use: use[0].share, reverse=True)


def read_machine(file: KeptFile) -> Memory:
    """The machine's memory by `/proc/meminfo`, else by psutil: all that is not available to a new program is in use."""
    try:
        text = file.read()
    except FileNotFoundError:
        memory = psutil.virtual_memory()
        return Memory(memory.total - memory.available, memory.total)
    sizes: dict[str, int] = {}
    for line in text.splitlines()[:3]:  # total, free, available come first of about fifty
        name, _, value = line.partition(":")
        sizes[name] = int(value.split()[0]) * 1024
    if "MemTotal" not in sizes or "MemAvailable" not in sizes:
        raise ValueError("/proc/meminfo does not begin with MemTotal, MemFree and MemAvailable")
    return Memory(max(sizes["MemTotal"] - sizes["MemAvailable"], 0), sizes["MemTotal"])
