"""Samples the load of this host and its machine. Called twice a second; a call reads a handful of small files."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm_worker.load import cgroup as cgroups
from farm_worker.load import cpu, memory
from farm_worker.load.facts import Facts, SamplingFailed
from farm_worker.load.files import KeptFile
from farm_worker.load.pressure import Pressure, PressureFiles
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
    pressure: PressureFiles
    sources: Mapping[str, str]
    """Of what does not change from sample to sample."""

    def close(self) -> None:
        if self.usage is not None:
            self.usage.close()
        self.pressure.close()


@dataclass(frozen=True, slots=True)
class _Counters:
    at: float
    cgroup: float | None
    machine: cpu.Busy


class Sampler:
    """Turns counters into shares. Keeps the counters of the last sample, so one sampler belongs to one loop."""

    def __init__(
        self, root: str | Path = "/", clock: Callable[[], float] = time.monotonic, memory_threshold: float = 1.0
    ) -> None:
        """`memory_threshold`: the share of memory up to which there is some left."""
        self.reading = ""
        """The source that is being read, for who waits for it from another thread; empty between samples."""
        self._root = Path(root)
        self._clock = clock
        self._memory_threshold = memory_threshold
        self._limits: _Limits | None = None
        self._limits_read_at = 0.0
        self._before: _Counters | None = None
        self._stat = KeptFile(self._root / "proc/stat")
        self._meminfo = KeptFile(self._root / "proc/meminfo")
        self._own_processes = OwnProcesses(self._root)
        self._cgroup, self._machine, self._own = Rate(), Rate(), Rate()

    def sample(self, own_pids: Collection[int], *, starting: bool = False) -> Facts:
        """Reads everything once. `own_pids`: the host's parent and the processes it started; ended ones do no harm.

        `starting`: what the host itself used since the last sample was for its start, which is over soon: it counts
        nowhere. Raises SamplingFailed with the name of the source. The next call tries again.
        """
        limits = self._current_limits()
        counters = self._read(limits)
        with self._source("CPU time of the host's own processes"):
            own = self._own_processes.growth(own_pids, counters.at)
        with self._source("memory"):
            uses = memory.read_uses(limits.memory, self._meminfo)
        with self._source("pressure"):
            pressure = self._read_pressure(limits)
        self._step(counters, own, limits, starting=starting)
        self._refuse_frozen_values(counters.at)
        return self._facts(limits, counters, uses, pressure)

    def close(self) -> None:
        """Closes the files kept open. A later sample opens them again."""
        self._stat.close()
        self._meminfo.close()
        self._own_processes.close()
        if self._limits is not None:
            self._limits.close()

    def _current_limits(self) -> _Limits:
        now = self._clock()
        if self._limits is not None and now - self._limits_read_at < LIMITS_INTERVAL_SECONDS:
            return self._limits
        with self._source("the cgroup's limits"):
            limits = _read_limits(self._root, self._meminfo)
        self._use(limits)
        self._limits_read_at = now
        return limits

    def _use(self, limits: _Limits) -> None:
        if self._limits is not None:
            self._limits.close()
            before = self._limits.usage
            if before is not None and (limits.usage is None or limits.usage.path != before.path):
                self._cgroup.forget()  # moved to another cgroup
                self._before = None
        self._limits = limits

    def _read(self, limits: _Limits) -> _Counters:
        with self._source("CPU time of the machine"):
            machine = cpu.read_busy(self._stat, limits.cpu_ids)
        with self._source("CPU time of the cgroup"):
            cgroup = None if limits.usage is None else cgroups.cpu_seconds(limits.usage)
        return _Counters(self._clock(), cgroup, machine)

    def _read_pressure(self, limits: _Limits) -> Pressure:
        try:
            return limits.pressure.read()
        except (OSError, ValueError):
            self._limits_read_at -= LIMITS_INTERVAL_SECONDS  # perhaps it was turned off: look before the next sample
            raise

    def _step(self, now: _Counters, own: float, limits: _Limits, *, starting: bool) -> None:
        before, self._before = self._before, now
        if before is None:
            return
        seconds = now.at - before.at
        growth = now.machine.seconds - before.machine.seconds
        for_start = max(own, 0.0) if starting else 0.0
        own -= for_start
        if growth >= 0:
            growth = max(growth - for_start, 0.0)
        possible = now.machine.cpus if now.machine.cpus == before.machine.cpus else 0
        good = self._machine.add(growth, seconds, possible, now.at)
        if now.cgroup is not None and before.cgroup is not None:
            used = now.cgroup - before.cgroup
            if used >= 0:
                used = max(used - for_start, 0.0)
            good &= self._cgroup.add(used, seconds, limits.cgroup_cpus, now.at)
        self._own.add(own, seconds, limits.allowed, now.at)
        if not good:
            self._limits_read_at -= LIMITS_INTERVAL_SECONDS  # perhaps a limit was changed: look before the next sample

    def _refuse_frozen_values(self, now: float) -> None:
        for source, rate in (("CPU time of the machine", self._machine), ("CPU time of the cgroup", self._cgroup)):
            if rate.refused_since is not None and now - rate.refused_since >= REFUSED_SECONDS:
                raise SamplingFailed(source, f"it has made impossible steps for {now - rate.refused_since:.0f} s")

    def _facts(
        self,
        limits: _Limits,
        counters: _Counters,
        uses: list[tuple[memory.Memory, memory.MemorySources]],
        pressure: Pressure,
    ) -> Facts:
        cpus, own = counters.machine.cpus, self._own.mean or 0.0
        machine, machine_last = self._machine.mean or 0.0, self._machine.last or 0.0
        # where nothing counts the cgroup's time, what this host uses of its quota is known at least
        rate = self._own if limits.usage is None else self._cgroup
        cgroup, cgroup_last = rate.mean or 0.0, rate.last or 0.0
        by_cgroup, by_machine = cgroup / limits.cgroup_cpus, machine / cpus
        used, memory_sources = uses[0]
        return Facts(
            load=_share(max(by_cgroup, by_machine)),
            cpu=_share(max(cgroup_last / limits.cgroup_cpus, machine_last / cpus)),
            own_load=_share(own / limits.allowed),
            others_load=_share(max((cgroup - own) / limits.cgroup_cpus, (machine - own) / cpus)),
            load_source="cgroup" if by_cgroup > by_machine else "machine",
            cpu_count=limits.allowed,
            memory=used.used,
            memory_total=used.total,
            memory_left=min(use.left(self._memory_threshold) for use, _ in uses),
            pressure_cpu=pressure.cpu,
            pressure_memory=pressure.memory,
            pressure_io=pressure.io,
            sources={**limits.sources, "memory": memory_sources.used, "memory_total": memory_sources.total},
            measured=self._machine.mean is not None,
        )

    @contextmanager
    def _source(self, name: str) -> Iterator[None]:
        self.reading = name
        try:
            yield
        except (OSError, ValueError, IndexError, psutil.Error) as error:
            raise SamplingFailed(name, error) from error
        finally:
            self.reading = ""


def _read_limits(root: Path, meminfo: KeptFile) -> _Limits:
    cgroup = cgroups.find(root)
    quota = cgroup.quota()
    cpus_of_cgroup = len(cgroup.cpu_ids() or ()) or cpu.machine_cpus(root)
    usage_file = cgroup.usage_file(quota)
    machine = memory.read_machine(meminfo)
    cpu_ids, allowed = cpu.cpu_ids(cgroup, root), cpu.allowed_by(cgroup, root)
    pressure = PressureFiles(cgroup, root)
    return _Limits(
        usage=None if usage_file is None else KeptFile(usage_file),
        cgroup_cpus=float(cpus_of_cgroup) if quota is None else min(quota.cpus, float(cpus_of_cgroup)),
        cpu_ids=cpu_ids,
        allowed=allowed,
        memory=tuple(limit for limit in cgroup.memory_limits() if limit.limit < machine.total),
        pressure=pressure,
        sources=_sources(root, quota if quota is not None and allowed < len(cpu_ids) else None, usage_file, pressure),
    )


def _sources(
    root: Path, quota: cgroups.Quota | None, usage_file: Path | None, pressure: PressureFiles
) -> Mapping[str, str]:
    """`quota`: the one that decides how many CPUs there are, if one does."""
    processes = f"{root / 'proc'}/<pid>/stat of the host's processes"
    of_cgroup = str(usage_file) if usage_file is not None else processes if quota is not None else ""
    cpu_sources = ", ".join(filter(None, [of_cgroup, str(root / "proc/stat")]))
    return {
        "load": cpu_sources,
        "cpu": cpu_sources,
        "cpu_count": f"{root / 'proc/self/status'}, the cpuset" if quota is None else str(quota.file),
        "own_load": processes,
        **{f"pressure_{name}": path for name, path in pressure.sources.items()},
    }


def _share(value: float) -> float:
    return min(max(value, 0.0), 1.0)
