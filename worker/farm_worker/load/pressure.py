"""Pressure: how much of the time something waited for CPUs, memory or disks, as the kernel tells (PSI).

Our own cgroup's where it has the files, else the machine's; nothing where the kernel has none, or has it turned off.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from farm_worker.load.cgroup import Cgroup
from farm_worker.load.files import KeptFile

RESOURCES = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True)
class Pressure:
    """The parts (0 to 1) of the last 10 s in which some process waited; None where the kernel does not tell."""

    cpu: float | None = None
    memory: float | None = None
    io: float | None = None


class PressureFiles:
    """The files of one cgroup, found once and kept open."""

    def __init__(self, cgroup: Cgroup, root: Path) -> None:
        self._files = {name: file for name in RESOURCES if (file := _find(name, cgroup, root)) is not None}

    @property
    def sources(self) -> Mapping[str, str]:
        """Resource → path of the file."""
        return {name: str(file.path) for name, file in self._files.items()}

    def read(self) -> Pressure:
        """What is the matter now. Raises OSError or ValueError for a file that could be read before."""
        return Pressure(**{name: parse(file.read(), file.path) for name, file in self._files.items()})

    def close(self) -> None:
        """Closes the files. Reading opens them again."""
        for file in self._files.values():
            file.close()


def parse(text: str, path: Path) -> float:
    """`some avg10` of a file of pressure, as a share. Raises ValueError."""
    for line in text.splitlines():
        kind, _, values = line.partition(" ")
        if kind == "some":
            for value in values.split():
                name, _, number = value.partition("=")
                if name == "avg10":
                    return min(max(float(number) / 100, 0.0), 1.0)
    raise ValueError(f"{path} has no `some avg10`")


def _find(name: str, cgroup: Cgroup, root: Path) -> KeptFile | None:
    """The first that can be read: with PSI turned off some kernels show files that say EOPNOTSUPP."""
    unified = cgroup.unified
    own = [] if unified is None else [unified.file(unified.own, f"{name}.pressure")]
    for path in [*own, root / "proc/pressure" / name]:
        file = KeptFile(path)
        try:
            parse(file.read(), path)
        except (OSError, ValueError):
            file.close()
        else:
            return file
    return None
