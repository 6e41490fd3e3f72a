"""How often the kernel killed a process for want of memory: in our cgroup, else on this machine."""

from pathlib import Path

from farm_worker.load.cgroup import find
from farm_worker.load.files import read_if_there

_FILES = {1: "memory.oom_control", 2: "memory.events"}


class OomKills:
    """Counts what is new. A look reads one small file."""

    def __init__(self, root: Path = Path("/")) -> None:
        memory = find(root).memory
        own = [] if memory is None else [memory.file(memory.own, _FILES[memory.version])]
        self._files = [*own, root / "proc/vmstat"]
        self._noted = self._count()

    def note(self) -> None:
        """What happened until now is no news."""
        self._noted = self._count()

    def news(self) -> int:
        """Kills since the last note; 0 where the kernel does not count them."""
        return max(0, self._count() - self._noted)

    def _count(self) -> int:
        for file in self._files:
            for line in read_if_there(file).splitlines():
                name, _, value = line.partition(" ")
                if name == "oom_kill" and value.isdigit():
                    return int(value)
        return 0
