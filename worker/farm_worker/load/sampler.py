"""Samples the load of this host and its machine. Called twice a second; a call reads a handful of small files."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm_worker.load import cgroup as cgroups
from farm_worker.load import cpu, memory
from farm_worker.load.facts import Facts, SamplingFailed
from farm_worker.load.files import KeptFile
from farm_worker.load.processes import OwnProcesses
from farm_worker.load.smoothing import Rate

LIMITS_INTERVAL_SECONDS = 10.0
"""Quota, cpuset and affinity may change while we run; they are read again this often."""
REFUSED_SECONDS = 10.0
"""A counter that makes no sense for this long has failed: the old value would be frozen."""


@dataclass(frozen=True, slots=True)
class _Limits:
    usage: KeptFile | None
    cgroup_cpus: float
    """What the counter in `usage` is measured against."""
    cpu_ids: frozenset[int]
    allowed: float
    memory: tuple[cgroups.MemoryLimit, ...]


@dataclass(frozen=True, slots=True)
class _Counters:
    at: float
    cgroup: float | None
    machine: cpu.Busy


class Sampler:
    """Turns counters into shares. Keeps the counters of the last sample, so one sampler belongs to one loop."""

    def __init__(self, root: str | Path = "/", clock: Callable[[], float] = time.monotonic) -> None:
        self._root = Path(root)
        self._clock = clock
        self._limits: _Limits | None = None
        self._limits_read_at = 0.0
        self._before: _Counters | None = None
        self._stat = KeptFile(self._root / "proc/stat")
        self._meminfo = KeptFile(self._root / "proc/meminfo")
        self._own_processes = OwnProcesses(self._root)
        self._cgroup, self._machine, self._own = Rate(), Rate(), Rate()

    def sample(self, own_pids: Collection[int]) -> Facts:
        """Reads everything once. `own_pids`: the host's parent and the processes it started; ended ones do no harm.

        Raises SamplingFailed with the name of the source. The next call tries again.
        """
        limits = self._current_limits()
        counters = self._read(limits)
        with _source("CPU time of the host's own processes"):
            own = self._own_processes.growth(own_pids, counters.at)
        with _source("memory"):
            used = memory.read_memory(limits.memory, self._meminfo)
        self._step(counters, own, limits)
        self._refuse_frozen_values(counters.at)
        return self._facts(limits, counters, used)

    def close(self) -> None:
        """Closes the files kept open. A later sample opens them again."""
        self._stat.close()
        self._meminfo.close()
        self._own_processes.close()
        if self._limits is not None and self._limits.usage is not None:
            self._limits.usage.close()

    def _current_limits(self) -> _Limits:
        now = self._clock()
        if self._limits is not None and now - self._limits_read_at < LIMITS_INTERVAL_SECONDS:
            return self._limits
        with _source("the cgroup's limits"):
            limits = _read_limits(self._root, self._meminfo)
        self._use(limits)
        self._limits_read_at = now
        return limits

    def _use(self, limits: _Limits) -> None:
        if self._limits is not None and self._limits.usage is not None:
            self._limits.usage.close()
            if limits.usage is None or limits.usage.path != self._limits.usage.path:  # moved to another cgroup
                self._cgroup.forget()
                self._before = None
        self._limits = limits

    def _read(self, limits: _Limits) -> _Counters:
        with _source("CPU time of the machine"):
            machine = cpu.read_busy(self._stat, limits.cpu_ids)
        with _source("CPU time of the cgroup"):
            cgroup = None if limits.usage is None else cgroups.cpu_seconds(limits.usage)
        return _Counters(self._clock(), cgroup, machine)

    def _step(self, now: _Counters, own: float, limits: _Limits) -> None:
        before, self._before = self._before, now
        if before is None:
            return
        seconds = now.at - before.at
        growth = now.machine.seconds - before.machine.seconds
        possible = now.machine.cpus if now.machine.cpus == before.machine.cpus else 0
        good = self._machine.add(growth, seconds, possible, now.at)
        if now.cgroup is not None and before.cgroup is not None:
            good &= self._cgroup.add(now.cgroup - before.cgroup, seconds, limits.cgroup_cpus, now.at)
        self._own.add(own, seconds, limits.allowed, now.at)
        if not good:
            self._limits_read_at -= LIMITS_INTERVAL_SECONDS  # perhaps a limit was changed: look before the next sample

    def _refuse_frozen_values(self, now: float) -> None:
        for source, rate in (("CPU time of the machine", self._machine), ("CPU time of the cgroup", self._cgroup)):
            if rate.refused_since is not None and now - rate.refused_since >= REFUSED_SECONDS:
                raise SamplingFailed(source, f"it has made impossible steps for {now - rate.refused_since:.0f} s")

    def _facts(self, limits: _Limits, counters: _Counters, used: memory.Memory) -> Facts:
        machine, cgroup, own = self._machine.mean or 0.0, self._cgroup.mean or 0.0, self._own.mean or 0.0
        cpus = counters.machine.cpus
        load = max(cgroup / limits.cgroup_cpus, machine / cpus)
        others = max((cgroup - own) / limits.cgroup_cpus, (machine - own) / cpus)
        last = max((self._cgroup.last or 0.0) / limits.cgroup_cpus, (self._machine.last or 0.0) / cpus)
        return Facts(
            load=_share(load),
            cpu=_share(last),
            own_load=_share(own / limits.allowed),
            others_load=_share(others),
            cpu_count=limits.allowed,
            memory=used.used,
            memory_total=used.total,
            measured=self._machine.mean is not None,
        )


def _read_limits(root: Path, meminfo: KeptFile) -> _Limits:
    cgroup = cgroups.find(root)
    quota = cgroup.quota()
    cpus_of_cgroup = len(cgroup.cpu_ids() or ()) or psutil.cpu_count() or 1
    usage_file = cgroup.usage_file(quota)
    machine = memory.read_machine(meminfo)
    return _Limits(
        usage=None if usage_file is None else KeptFile(usage_file),
        cgroup_cpus=float(cpus_of_cgroup) if quota is None else min(quota.cpus, float(cpus_of_cgroup)),
        cpu_ids=cpu.cpu_ids(cgroup, root),
        allowed=cpu.allowed_by(cgroup, root),
        memory=tuple(limit for limit in cgroup.memory_limits() if limit.limit < machine.total),
    )


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)


@contextmanager
def _source(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, IndexError, psutil.Error) as error:
        raise SamplingFailed(name, error) from error
