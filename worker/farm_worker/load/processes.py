"""CPU time used by this host itself: the processes it started and all that these started."""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from farm_worker.load.files import KeptFile, read

SEARCH_INTERVAL_SECONDS = 2.5
"""New grandchildren are looked for this often. One that ends sooner is counted when its parent collects it."""


@dataclass(frozen=True, slots=True)
class Times:
    """CPU seconds of a process with those of its collected children, and when it began, in seconds since boot."""

    used: float
    began: float


class OwnProcesses:
    """Adds up the CPU time of process trees.

    A process's time moves to its parent when it is collected, so the sum over a whole tree only grows; a process
    that somebody else collects makes it shrink, which the caller refuses as it refuses any impossible step.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._has_proc = (root / "proc/stat").exists()
        self._tick = 1.0 / os.sysconf("SC_CLK_TCK")
        self._searched_at = -SEARCH_INTERVAL_SECONDS
        self._tree: frozenset[int] = frozenset()
        self._files: dict[int, KeptFile] = {}
        self._before: dict[int, Times] = {}
        self._read_at = 0.0

    def growth(self, pids: Collection[int], now: float) -> float:
        """CPU seconds that the trees under `pids` used since the last call; below 0 is possible. 0 at the first."""
        if now - self._searched_at >= SEARCH_INTERVAL_SECONDS or not self._tree.issuperset(pids):
            self._watch(self._search(pids))
            self._searched_at = now
        read_at = since_boot()
        times = {pid: found for pid in self._tree if (found := self._times(pid)) is not None}
        grown = sum(found.used for found in times.values()) - sum(before.used for before in self._before.values())
        # what a process used before it was first seen is no growth, unless it began after the last call
        grown -= sum(
            found.used for pid, found in times.items() if pid not in self._before and found.began < self._read_at
        )
        self._before, self._read_at = times, read_at
        return grown

    def close(self) -> None:
        """Closes the files kept open."""
        self._watch(frozenset())

    def _watch(self, tree: frozenset[int]) -> None:
        for pid in self._files.keys() - tree:
            self._files.pop(pid).close()
        if self._has_proc:
            for pid in tree - self._files.keys():
                self._files[pid] = KeptFile(f"{self._root}/proc/{pid}/stat")
        self._tree = tree

    def _search(self, pids: Iterable[int]) -> frozenset[int]:
        children = self._children if self._has_proc else _children_by_psutil()
        found: set[int] = set()
        waiting = list(pids)
        while waiting:
            pid = waiting.pop()
            if pid not in found:
                found.add(pid)
                waiting.extend(children(pid))
        return frozenset(found)

    def _children(self, pid: int) -> list[int]:
        found: list[int] = []
        tasks = f"{self._root}/proc/{pid}/task"
        try:
            for task in os.listdir(tasks):
                found.extend(map(int, read(f"{tasks}/{task}/children").split()))
        except OSError:
            pass  # it ended, or this kernel has no such file: then only the given processes count
        return found

    def _times(self, pid: int) -> Times | None:
        if not self._has_proc:
            return _times_by_psutil(pid)
        try:
            fields = self._files[pid].read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        used = int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
        return Times(used * self._tick, int(fields[19]) * self._tick)


def since_boot() -> float:
    """Seconds since boot, as the kernel stamps the beginning of processes."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - psutil.boot_time()


def _times_by_psutil(pid: int) -> Times | None:
    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Times(sum(times[:4]), process.create_time() - psutil.boot_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _children_by_psutil() -> Callable[[int], list[int]]:
    children: dict[int, list[int]] = defaultdict(list)
    for process in psutil.process_iter(["ppid"]):
        if process.info["ppid"] is not None:
            children[process.info["ppid"]].append(process.pid)
    return lambda pid: children.get(pid, [])
