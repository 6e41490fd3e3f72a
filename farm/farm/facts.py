"""What is known of the host that this code runs on: its load and room as it published them last. `host_facts()`.

The host writes them with each beat into a small block of shared memory, which its processes map when they are first
asked for. So a look costs microseconds, waits for nothing and needs no Redis.
"""

import json
import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from farm.context import current_process
from farm.errors import FarmError

BLOCK_BYTES = 1 << 16
TURN = struct.Struct("<Q")
"""At the beginning of a block: how often it was written. Odd and even writes have each a half of it."""
HEADER = struct.Struct("<II")
"""At the beginning of a half: length and checksum of the JSON that follows."""
HALF_BYTES = (BLOCK_BYTES - 64) // 2
LOOKS = 8
"""A half is written anew only at the next beat but one: who finds it torn was stopped for seconds, and looks again."""


@dataclass(frozen=True, slots=True)
class HostFacts:
    """One moment of a host. Loads, shares and pressures are 0 to 1, memory is in bytes."""

    host: str = ""
    """Its name."""
    state: str = "starting"
    """starting, available, full, draining, unhealthy."""
    load: float = 0.0
    """What is compared with the threshold. A load function of the app gets what was measured, never its own answer."""
    threshold: float = 1.0
    load_source: str = "machine"
    """What decides the load: `cgroup` or `machine`, whichever is fuller, or `app`: the app's load function."""
    cpu: float = 0.0
    """The part of the allowed CPUs in use over the last interval alone; `load` is a mean of 2.5 s."""
    cpu_count: float = 1.0
    """CPUs allowed: the quota, or the CPUs that the host may run on; a fraction is possible."""
    own_load: float = 0.0
    """The part of the allowed CPUs that this host uses itself, with all its processes."""
    others_load: float = 0.0
    """The load that would remain without this host."""
    measured: bool = False
    """False until the load was measured once; the loads are 0 till then."""
    pressure_cpu: float | None = None
    """The part of the last 10 s in which something waited for a CPU; None where the kernel does not tell."""
    pressure_memory: float | None = None
    """As well, for memory."""
    pressure_io: float | None = None
    """As well, for disks."""
    memory: int = 0
    memory_total: int = 0
    """What `memory` counts against: the limit of the cgroup, or the machine's memory."""
    memory_left: int = 0
    """Bytes until MEMORY_THRESHOLD, from where on the host takes nothing."""
    slots: int = 0
    busy: int = 0
    """Processes with jobs."""
    jobs: int = 0
    """Those that run: more than processes are busy where they run side by side."""
    idle: int = 0
    prefetch: int = 0
    capacity: int = 0
    """Jobs that it may hold now, running and waiting."""
    at: float = 0.0
    """When this was so, in Unix seconds."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Number → where it was read."""

    @property
    def memory_share(self) -> float:
        """Part of the memory that is in use."""
        return min(max(self.memory / self.memory_total, 0.0), 1.0) if self.memory_total > 0 else 0.0


_NAMES = frozenset(each.name for each in fields(HostFacts))


def host_facts() -> HostFacts:
    """What this code's host published last, about once a second: in jobs, hooks, runners and load functions.

    It waits for nothing and needs no Redis. Raises FarmError where there is no host, or none that has said anything.
    """
    if _told is not None:
        return _told
    process = current_process()
    path = process.facts if process is not None else _path
    if not path:
        raise FarmError(
            "host_facts() was called outside of a host: it is for jobs, and for the functions that an app declares. "
            "From elsewhere, farm.host(name) tells of a host."
        )
    return _read(_block(path))


def tell(facts: HostFacts) -> None:
    """For a process that is told all by its host: this is what `host_facts()` returns until it is told again."""
    global _told  # noqa: PLW0603 - one process, one host
    _told = facts


def read_from(path: str) -> None:
    """For a process of a host that runs no jobs: where its host says how it is."""
    global _path  # noqa: PLW0603 - as above
    _path = path


def from_fields(values: Mapping[str, object]) -> HostFacts:
    """Facts from their names and values; what is not known here is left out."""
    return HostFacts(**{name: value for name, value in values.items() if name in _NAMES})  # type: ignore[arg-type]


def _block(path: str) -> mmap.mmap:
    """Mapped once, and kept: a job that closes all descriptors, or becomes another user, does not lose it."""
    if path not in _blocks:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                _blocks[path] = mmap.mmap(descriptor, BLOCK_BYTES, prot=mmap.PROT_READ)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise FarmError(f"host_facts(): what the host says of itself can't be read: {error}") from None
    return _blocks[path]


def _read(block: mmap.mmap) -> HostFacts:
    for _ in range(LOOKS):
        (turn,) = TURN.unpack_from(block)
        if turn == 0:
            break
        start = TURN.size + (turn % 2) * HALF_BYTES
        length, checksum = HEADER.unpack_from(block, start)
        start += HEADER.size
        text = block[start : start + length]
        if zlib.crc32(text) == checksum:
            return from_fields(json.loads(text))
    raise FarmError("host_facts(): the host has not said anything of itself that can be read.")


_blocks: dict[str, mmap.mmap] = {}
_told: HostFacts | None = None
_path = ""
