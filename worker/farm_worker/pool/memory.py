"""How much memory processes use, with all that they started.

Resident memory is read each time, which costs microseconds. It counts pages that processes share (with a template that
they were forked from, with their own children) in each of them. What a tree really has, its proportional share, costs
the kernel a walk through all of its pages, milliseconds. So that is measured now and then, and whenever something
hangs on it; in between the shared part is taken to be as it was.
"""

import os
import time
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import psutil

from farm_worker.load.files import KeptFile, read

EXACT_SECONDS = 120.0
"""Between two exact measurements of one tree, when nothing hangs on them."""
DECISIVE_SECONDS = 5.0
"""When resident memory is above a line and the share was below it: the difference may have become its own."""
EXACT_COST = 1e-3
"""Exact measurements of one tree take at most this share of a CPU, unless it is about to cross a line."""
SEARCH_SECONDS = 2.5
"""Descendants are searched for this often, and at once when the main thread, which runs jobs, has other children."""
MAX_MEMBERS = 1000
"""Of one tree; more are not counted."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KILOBYTE = 1024


@dataclass(slots=True)
class _Tree:
    size: KeptFile
    children: KeptFile
    """Those of the main thread."""
    known_children: str = ""
    descendants: Sequence[int] = ()
    searched_at: float = -inf
    shared: int = 0
    """Bytes of the resident ones that are not its own, as last measured."""
    exact: int = 0
    exact_at: float | None = None
    cost: float = 0.0
    samples: int = 0
    resident: int = 0
    """Bytes, as of the last sample."""

    def close(self) -> None:
        self.size.close()
        self.children.close()


class MemorySampler:
    """Measures trees of processes. Call it off the loop's thread, from one thread at a time."""

    def __init__(self, lines: Iterable[float] = ()) -> None:
        """`lines`: bytes at which something is decided. There the answer is exact."""
        self._lines: Sequence[float] = sorted(lines)
        self._trees: dict[int, _Tree] = {}
        self._has_proc = os.path.exists("/proc/self/statm")

    def sample(self, pids: Collection[int]) -> dict[int, int]:
        """Bytes of each tree, by the pid of its root. Ended ones are left out."""
        for pid in self._trees.keys() - set(pids):
            self._trees.pop(pid).close()
        samples = {pid: self._sample_tree(pid) for pid in pids}
        return {pid: used for pid, used in samples.items() if used}

    def resident(self, pid: int) -> int:
        """Bytes of a tree that was just sampled, with what its processes share. 0: it has ended."""
        tree = self._trees.get(pid)
        return 0 if tree is None else tree.resident

    def descendants(self, pid: int) -> Sequence[int]:
        """The pids of what the root of a sampled tree has started, and these, as known."""
        tree = self._trees.get(pid)
        return () if tree is None else tree.descendants

    def _sample_tree(self, pid: int) -> int:
        tree = self._trees.get(pid)
        if tree is None:
            tree = _Tree(KeptFile(f"/proc/{pid}/statm"), KeptFile(f"/proc/{pid}/task/{pid}/children"))
            self._trees[pid] = tree
        descendants = self._descendants(pid, tree)
        resident = self._resident_root(pid, tree.size)
        if not resident:
            return 0
        resident += sum(self._resident(member) for member in descendants)
        tree.samples += 1
        tree.resident = resident
        if self._has_proc and self._is_exact_due(tree, resident):
            _measure(tree, [pid, *descendants], resident)
        return max(0, resident - tree.shared)

    def _is_exact_due(self, tree: _Tree, resident: int) -> bool:
        estimate = resident - tree.shared
        if any(tree.exact < line <= estimate for line in self._lines):
            return True
        if tree.exact_at is None:
            return tree.samples > 1  # many a process lives for one short job
        below = any(estimate < line <= resident for line in self._lines)
        pause = max(DECISIVE_SECONDS if below else EXACT_SECONDS, tree.cost / EXACT_COST)
        return time.monotonic() - tree.exact_at >= pause

    def _resident_root(self, pid: int, file: KeptFile) -> int:
        if not self._has_proc:
            return self._resident(pid)
        with suppress(OSError, ValueError, IndexError):
            return int(file.read().split()[1]) * _PAGE
        return 0

    def _resident(self, pid: int) -> int:
        return resident(pid, has_proc=self._has_proc)

    def _descendants(self, root: int, tree: _Tree) -> Sequence[int]:
        now = time.monotonic()
        with suppress(OSError):
            children = tree.children.read()
            if children == tree.known_children and now - tree.searched_at < SEARCH_SECONDS:
                return tree.descendants
            tree.known_children = children
        tree.descendants, tree.searched_at = descendants_of(root), now
        return tree.descendants


def resident(pid: int, *, has_proc: bool = True) -> int:
    """Bytes that one process holds, with what it shares. 0: it has ended. `has_proc`: see where Linux tells it."""
    with suppress(OSError, ValueError, IndexError):
        if has_proc:
            return int(read(f"/proc/{pid}/statm").split()[1]) * _PAGE
    with suppress(psutil.Error, OSError):
        found: int = psutil.Process(pid).memory_info().rss
        return found
    return 0


def _measure(tree: _Tree, members: Iterable[int], resident: int) -> None:
    begun = time.thread_time()
    sizes = [_proportional(member) for member in members]
    tree.cost = time.thread_time() - begun
    tree.exact_at = time.monotonic()
    if sizes[0] is not None:
        tree.exact = sum(size or 0 for size in sizes)
        tree.shared = resident - tree.exact


def _proportional(pid: int) -> int | None:
    """Bytes, with what is swapped out. None: this kernel or user may not know."""
    try:
        lines = read(f"/proc/{pid}/smaps_rollup").splitlines()
    except OSError:
        return None
    return sum(int(line.split()[1]) * _KILOBYTE for line in lines if line.startswith(("Pss:", "SwapPss:")))


def descendants_of(root: int) -> list[int]:
    found = children_of(root)
    for pid in found:
        if len(found) >= MAX_MEMBERS:
            break
        found.extend(children_of(pid))
    return found[:MAX_MEMBERS]


def children_of(pid: int) -> list[int]:
    # The kernel lists children in one small file per thread; psutil reads the whole process table for each question.
    children: list[int] = []
    tasks = f"/proc/{pid}/task"
    try:
        for task in os.listdir(tasks):
            with suppress(ProcessLookupError, FileNotFoundError):
                children.extend(map(int, read(f"{tasks}/{task}/children").split()))
    except OSError:
        with suppress(psutil.Error, OSError):  # OSError: no descriptor is left for any of these files
            children = [child.pid for child in psutil.Process(pid).children()]
    return children
