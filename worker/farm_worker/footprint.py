"""What a tree of processes really uses, exactly: for measurements, where it may cost milliseconds.

Hosts look at all of their processes each second, for which `pool.memory` takes microseconds and estimates.
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from farm_worker.load.files import read, read_if_there
from farm_worker.pool.memory import descendants_of

_KILOBYTE = 1024
_CLOCK_OF_PROCESS = 2
"""How the kernel numbers the clock of all threads of one process, see clock_getcpuclockid(3)."""
_RESET_PEAK = "5"


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of memory."""

    share: int
    """With its part of what it shares with others (PSS), and the tables of its pages."""
    own: int
    """What would be free if it ended."""


def footprint(pids: Iterable[int]) -> Footprint:
    """Of all these processes; those that ended have none. Without Linux's files: what psutil says."""
    found = [_footprint(pid) for pid in pids]
    return Footprint(sum(each.share for each in found), sum(each.own for each in found))


def tree(pid: int) -> list[int]:
    """The process and all that it started, as far as they live."""
    return [pid, *descendants_of(pid)]


def cpu_seconds(pid: int) -> float:
    """CPU time of the process, of its children that ended, and of those that run. Finer than the kernel's ticks."""
    return _collected(pid) + sum(_own_seconds(member) for member in tree(pid))


def waited_seconds(pid: int) -> float:
    """How long its main thread has waited for a CPU while it could have run; 0 where the kernel does not say."""
    fields = read_if_there(f"/proc/{pid}/schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def forget_peak(pid: int) -> None:
    """From now on `peak` counts anew. Where the kernel refuses that, it stays as it was."""
    with suppress(OSError), open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as file:
        file.write(_RESET_PEAK)


def resident_and_peak(pid: int) -> tuple[int, int]:
    """Resident bytes now, and the most that there were; 0 where the kernel does not say."""
    sizes = _sizes(read_if_there(f"/proc/{pid}/status"), ("VmRSS:", "VmHWM:"))
    return sizes["VmRSS:"], sizes["VmHWM:"]


def _footprint(pid: int) -> Footprint:
    try:
        sizes = _sizes(
            read(f"/proc/{pid}/smaps_rollup"), ("Pss:", "SwapPss:", "Private_Clean:", "Private_Dirty:", "Swap:")
        )
    except OSError:
        return _by_psutil(pid)
    tables = _sizes(read_if_there(f"/proc/{pid}/status"), ("VmPTE:",))["VmPTE:"]
    return Footprint(
        share=sizes["Pss:"] + sizes["SwapPss:"] + tables,
        own=sizes["Private_Clean:"] + sizes["Private_Dirty:"] + sizes["Swap:"] + tables,
    )


def _by_psutil(pid: int) -> Footprint:
    try:
        process = psutil.Process(pid)
        if not hasattr(process, "memory_full_info"):
            return Footprint(process.memory_info().rss, process.memory_info().rss)
        own = process.memory_full_info().uss
        return Footprint(process.memory_info().rss, own)
    except psutil.Error:
        return Footprint(0, 0)


def _sizes(text: str, names: Iterable[str]) -> dict[str, int]:
    sizes = dict.fromkeys(names, 0)
    for line in text.splitlines():
        name, *value = line.split()
        if name in sizes:
            sizes[name] = int(value[0]) * _KILOBYTE
    return sizes


def _own_seconds(pid: int) -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):  # Linux
        with suppress(OSError):
            return time.clock_gettime((~pid << 3) | _CLOCK_OF_PROCESS)
        return 0.0
    try:
        return sum(psutil.Process(pid).cpu_times()[:2])
    except psutil.Error:
        return 0.0


def _collected(pid: int) -> float:
    try:
        fields = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
