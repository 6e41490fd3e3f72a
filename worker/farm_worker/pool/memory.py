"""How much memory processes use, with all that they started."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import psutil


class MemorySampler:
    """Measures trees of processes. Reads a few small files per process; call it off the loop's thread."""

    def __init__(self) -> None:
        self._known: dict[int, psutil.Process] = {}

    def sample(self, pids: Iterable[int]) -> dict[int, int]:
        """Resident bytes of each tree, by the pid of its root. Ended ones are left out.

        Pages that processes share are counted in each.
        """
        trees = {pid: _tree(pid) for pid in pids}
        members = {pid for tree in trees.values() for pid in tree}
        self._known = {pid: process for pid, process in self._known.items() if pid in members}
        sums = {pid: sum(self._resident(member) for member in tree) for pid, tree in trees.items()}
        return {pid: total for pid, total in sums.items() if total}

    def _resident(self, pid: int) -> int:
        with suppress(psutil.Error):
            process = self._known.get(pid) or psutil.Process(pid)
            self._known[pid] = process
            resident: int = process.memory_info().rss
            return resident
        return 0


def _tree(root: int) -> list[int]:
    """The process and its descendants."""
    tree = [root]
    for pid in tree:
        tree.extend(_children(pid))
    return tree


def _children(pid: int) -> list[int]:
    # The kernel lists children in one small file per thread; psutil reads the whole process table for each question.
    children: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(ProcessLookupError):
                children.extend(int(child) for child in (task / "children").read_text().split())
    except OSError:
        with suppress(psutil.Error):
            children = [child.pid for child in psutil.Process(pid).children()]
    return children
