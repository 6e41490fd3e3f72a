"""Limits and use of the cgroup that this process is in: version 1, version 2, or both mounted at once.

A limit of any ancestor holds for us too, so each reader looks from our own folder up to the mount point. All paths
lie under `root`, which tests replace by a tree of their own. Values that the kernel does not offer are None.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from farm_worker.load.files import KeptFile, read, read_if_there

NO_LIMIT = 1 << 60
"""Version 1 writes "no limit" as the greatest number of pages."""


@dataclass(frozen=True, slots=True)
class Controller:
    """Where one controller's files lie. `own` is our cgroup's path below `mount`."""

    version: int
    mount: Path
    own: PurePosixPath

    def levels(self) -> Iterator[PurePosixPath]:
        """Our own cgroup, then its ancestors up to the mount point."""
        yield self.own
        if self.own != PurePosixPath():
            yield from self.own.parents

    def file(self, level: PurePosixPath, name: str) -> Path:
        """A file of the cgroup at `level`."""
        return self.mount / level / name


@dataclass(frozen=True, slots=True)
class Quota:
    """CPU time that a cgroup may use, in CPUs, and the level at which the limit is set."""

    cpus: float
    level: PurePosixPath
    file: Path
    """Where it is set."""


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """One limit in bytes, and the files that say what counts against it."""

    limit: int
    usage: Path
    statistics: Path
    cache_field: str
    file: Path
    """Where the limit is set."""

    def used(self) -> int:
        """The working set: what is used without the page cache that can be dropped. Raises OSError or ValueError."""
        used = int(read(self.usage))
        for line in read_if_there(self.statistics).splitlines():
            name, _, value = line.partition(" ")
            if name == self.cache_field:
                return max(used - int(value), 0)
        return used


@dataclass(frozen=True, slots=True)
class Cgroup:
    """The controllers found; None where the kernel has none for us."""

    cpu: Controller | None = None
    usage: Controller | None = None
    cpuset: Controller | None = None
    memory: Controller | None = None
    unified: Controller | None = None
    """Version 2, also where the controllers are of version 1: it tells of pressure."""

    def quota(self) -> Quota | None:
        """The least CPU quota on the way up, None without any."""
        if self.cpu is None:
            return None
        quota_of = _quota_1 if self.cpu.version == 1 else _quota_2
        name = "cpu.cfs_quota_us" if self.cpu.version == 1 else "cpu.max"
        found = [
            Quota(cpus, level, self.cpu.file(level, name))
            for level in self.cpu.levels()
            if (cpus := quota_of(self.cpu, level)) is not None
        ]
        return min(found, key=lambda quota: quota.cpus, default=None)

    def usage_file(self, quota: Quota | None) -> Path | None:
        """The file that counts CPU time where the quota is set, else in our own cgroup; None without one.

        With version 1 time may be counted in another cgroup than the one that is limited: that says nothing.
        """
        if self.usage is None or self.cpu is None or (quota is not None and self.usage.own != self.cpu.own):
            return None
        name = "cpuacct.usage" if self.usage.version == 1 else "cpu.stat"
        levels = [self.usage.own] if quota is None else [quota.level, self.usage.own]
        files = (self.usage.file(level, name) for level in levels)
        return next((file for file in files if file.is_file()), None)

    def cpu_ids(self) -> frozenset[int] | None:
        """CPUs of our cpuset, None where it sets none."""
        if self.cpuset is None:
            return None
        names = ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus")
        for level in self.cpuset.levels():
            for name in names:
                if text := read_if_there(self.cpuset.file(level, name)):
                    return parse_cpu_list(text)
        return None

    def memory_limits(self) -> list[MemoryLimit]:
        """Every limit on the way up."""
        if self.memory is None:
            return []
        limit_of = _memory_limit_1 if self.memory.version == 1 else _memory_limit_2
        return [limit for level in self.memory.levels() if (limit := limit_of(self.memory, level)) is not None]


def find(root: Path) -> Cgroup:
    """The cgroup of this process. Empty where the system has none (macOS) or shows none."""
    own = read_if_there(root / "proc/self/cgroup")
    mounts = read_if_there(root / "proc/self/mountinfo")
    if not own or not mounts:
        return Cgroup()
    paths = _own_paths(own)
    controllers: dict[str, Controller] = {}
    for line in mounts.splitlines():
        for name, controller in _mounted(line, paths, root):
            known = controllers.get(name)
            if known is None or (known.version == 2 and controller.version == 1):
                controllers[name] = controller
    unified = controllers.get("")
    cpu = controllers.get("cpu", unified)
    return Cgroup(
        cpu=cpu,
        usage=controllers.get("cpuacct") if cpu and cpu.version == 1 else unified,
        cpuset=controllers.get("cpuset", unified),
        memory=controllers.get("memory", unified),
        unified=unified,
    )


def cpu_seconds(file: KeptFile) -> float:
    """CPU time used so far, by a file that `usage_file` named. Raises OSError or ValueError."""
    text = file.read()
    if file.path.name == "cpuacct.usage":
        return int(text) / 1e9
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == "usage_usec":
            return int(value) / 1e6
    raise ValueError(f"{file.path} has no usage_usec")


def parse_cpu_list(text: str) -> frozenset[int]:
    """CPU numbers of a list as the kernel writes it: `0-3,8`."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _own_paths(text: str) -> dict[str, PurePosixPath]:
    """Our path in each hierarchy, by controller; the unified hierarchy has the name `""`."""
    paths: dict[str, PurePosixPath] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for name in names.split(",") if names else [""]:
            if name or number == "0":
                paths[name] = PurePosixPath(path)
    return paths


def _mounted(line: str, paths: dict[str, PurePosixPath], root: Path) -> Iterator[tuple[str, Controller]]:
    """The controllers of ours that one line of mountinfo mounts."""
    before, _, after = line.partition(" - ")
    fields, system = before.split(" "), after.split(" ")
    if len(fields) < 5 or len(system) < 3 or system[0] not in ("cgroup", "cgroup2"):
        return
    mount = root / fields[4].replace("\\040", " ").lstrip("/")
    version = 2 if system[0] == "cgroup2" else 1
    for name in [""] if version == 2 else system[2].split(","):
        if name in paths:
            yield name, Controller(version, mount, _below(paths[name], PurePosixPath(fields[3])))


def _below(path: PurePosixPath, mounted: PurePosixPath) -> PurePosixPath:
    """Our path seen from the mount point; the mount point itself when only a part of the hierarchy is shown."""
    if ".." in path.parts or not path.is_relative_to(mounted):
        return PurePosixPath()
    return path.relative_to(mounted)


def _quota_1(controller: Controller, level: PurePosixPath) -> float | None:
    quota = _number(controller.file(level, "cpu.cfs_quota_us"))
    period = _number(controller.file(level, "cpu.cfs_period_us"))
    return quota / period if quota and period and quota > 0 else None


def _quota_2(controller: Controller, level: PurePosixPath) -> float | None:
    quota, _, period = read_if_there(controller.file(level, "cpu.max")).partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _memory_limit_1(controller: Controller, level: PurePosixPath) -> MemoryLimit | None:
    file = controller.file(level, "memory.limit_in_bytes")
    limit = _number(file)
    if not limit or not 0 < limit < NO_LIMIT:
        return None
    usage, statistics = (controller.file(level, name) for name in ("memory.usage_in_bytes", "memory.stat"))
    return MemoryLimit(limit, usage, statistics, "total_inactive_file", file)


def _memory_limit_2(controller: Controller, level: PurePosixPath) -> MemoryLimit | None:
    # over memory.high the kernel slows everything down, so it is a limit as good as memory.max
    files = [controller.file(level, name) for name in ("memory.max", "memory.high")]
    limits = [(limit, file) for file in files if (limit := _number(file))]
    if not limits:
        return None
    limit, file = min(limits)
    usage, statistics = (controller.file(level, name) for name in ("memory.current", "memory.stat"))
    return MemoryLimit(limit, usage, statistics, "inactive_file", file)


def _number(file: Path) -> int | None:
    """The number in the file; None where there is no such file or it says `max`."""
    text = read_if_there(file)
    return int(text) if text.lstrip("-").isdigit() else None
