"""What one sample says about this host and its machine."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Facts:
    """One sample. Shares are 0 to 1, memory is in bytes.

    `load` and its parts are means over the last 2.5 s; `cpu` is the last interval alone. Until `measured` no interval
    was complete and the shares are 0. The pool's numbers are filled in by the host.
    """

    load: float
    cpu: float
    own_load: float
    """The part of the allowed CPUs that this host itself uses: its parent, pool, hooks and coordinator processes."""
    others_load: float
    """The load that would remain without this host."""
    cpu_count: float
    """CPUs allowed: the quota, or the CPUs that this process may run on; a fraction is possible."""
    memory: int
    memory_total: int
    """What `memory` counts against: the limit of the cgroup, or the machine's memory."""
    measured: bool = True
    load_source: str = "machine"
    """Which of the two decides the load: `cgroup` or `machine`."""
    memory_left: int = 0
    """Bytes until the line from where on the host takes nothing."""
    pressure_cpu: float | None = None
    """The part of the last 10 s in which something waited for it; None where the kernel does not tell."""
    pressure_memory: float | None = None
    pressure_io: float | None = None
    sources: Mapping[str, str] = field(default_factory=dict)
    """Number → where it was read."""
    slots: int = 0
    busy: int = 0
    jobs: int = 0
    """Those that run: more than processes are busy where they run side by side."""
    idle: int = 0
    memory_share: float = field(init=False)
    """Part of the memory that is in use."""

    def __post_init__(self) -> None:
        share = min(max(self.memory / self.memory_total, 0.0), 1.0) if self.memory_total > 0 else 0.0
        object.__setattr__(self, "memory_share", share)


class SamplingFailed(Exception):
    """A source of the load could not be read. The text names the source and the cause."""

    def __init__(self, source: str, cause: object) -> None:
        super().__init__(f"{source} cannot be read: {cause}")
        self.source = source
        self.cause = cause
