"""The CPUs that this process may use, and how busy they are, whoever uses them."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm_worker.load import cgroup as cgroups
from farm_worker.load.files import KeptFile, read, read_if_there

_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL = 0, 1, 2, 5, 6, 7
_BUSY_COLUMNS = (_USER, _NICE, _SYSTEM, _IRQ, _SOFTIRQ, _STEAL)
"""Stolen time counts as busy: nobody here can use it. Waiting for a disk does not."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Busy seconds since boot, added up over `cpus` CPUs."""

    seconds: float
    cpus: int


def allowed_cpus(root: str | Path = "/") -> float:
    """CPUs that this process may use at once: its quota, else its CPUs; a fraction is possible, never 0."""
    root = Path(root)
    return allowed_by(cgroups.find(root), root)


def allowed_by(cgroup: cgroups.Cgroup, root: Path) -> float:
    """As `allowed_cpus`, for a cgroup that was found already."""
    cpus = float(len(cpu_ids(cgroup, root)))
    quota = cgroup.quota()
    return cpus if quota is None else min(cpus, quota.cpus)


def cpu_ids(cgroup: cgroups.Cgroup, root: Path) -> frozenset[int]:
    """The CPUs that the scheduler may give us: affinity and cpuset together. Never empty."""
    affinity = _affinity(root)
    in_set = cgroup.cpu_ids()
    if affinity and in_set:
        return affinity & in_set or affinity
    return affinity or in_set or frozenset(range(psutil.cpu_count() or 1))


def machine_cpus(root: Path) -> int:
    """CPUs of the machine, whether we may use them or not, by `/proc/stat`, else by psutil. Never 0."""
    lines = read_if_there(root / "proc/stat").splitlines()
    return sum(line.startswith("cpu") and not line.startswith("cpu ") for line in lines) or psutil.cpu_count() or 1


def read_busy(file: KeptFile, ids: frozenset[int]) -> Busy:
    """How busy these CPUs have been, by `/proc/stat`, else by psutil. Raises OSError or ValueError."""
    try:
        text = file.read()
    except FileNotFoundError:
        return _busy_by_psutil(ids)
    rows: dict[int, list[str]] = {}
    for line in text.splitlines():
        if not line.startswith("cpu"):
            break  # the lines of CPUs come first
        name, *columns = line.split()
        if name != "cpu":
            rows[int(name[3:])] = columns
    if not rows:
        raise ValueError("/proc/stat has no lines of CPUs")
    # a container with a view of its own numbers its CPUs anew; then all that it shows are ours
    ours = [rows[number] for number in ids if number in rows] or list(rows.values())
    ticks = sum(int(row[column]) for row in ours for column in _BUSY_COLUMNS if column < len(row))
    return Busy(ticks / os.sysconf("SC_CLK_TCK"), len(ours))


def _busy_by_psutil(ids: frozenset[int]) -> Busy:
    times = psutil.cpu_times(percpu=True)
    ours = [times[number] for number in sorted(ids) if number < len(times)] or times
    return Busy(sum(sum(one) - one.idle - getattr(one, "iowait", 0.0) for one in ours), len(ours))


def _affinity(root: Path) -> frozenset[int]:
    try:
        lines = read(root / "proc/self/status").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list":
            return cgroups.parse_cpu_list(value)
    return frozenset()
