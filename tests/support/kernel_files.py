"""Trees of kernel files, as containers and machines show them, for the readers of the load."""

from pathlib import Path

GIB = 1 << 30


def write(root: Path, files: dict[str, object]) -> Path:
    """Writes the files below `root` and returns it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return root


def machine(
    cpus: int = 4, allowed: str = "0-3", memory: int = 16 * GIB, available: int = 12 * GIB
) -> dict[str, object]:
    """What every Linux shows under /proc."""
    return {
        "proc/stat": stat([0] * cpus),
        "proc/meminfo": f"MemTotal: {memory >> 10} kB\nMemFree: 1 kB\nMemAvailable: {available >> 10} kB",
        "proc/self/status": f"Name:\tpython\nCpus_allowed_list:\t{allowed}",
    }


def stat(busy_ticks: list[int]) -> str:
    """/proc/stat of a machine whose CPUs were busy for so many ticks."""
    lines = [f"cpu{number} {ticks} 0 0 1000 50 0 0 0 7 0" for number, ticks in enumerate(busy_ticks)]
    return "\n".join([f"cpu {sum(busy_ticks)} 0 0 9 9 0 0 0 7 0", *lines, "intr 1 2 3", "btime 1"])


def version_2(own: str = "/app", mounted: str = "/") -> dict[str, object]:
    """Version 2 alone, as on a current system."""
    return {
        "proc/self/cgroup": f"0::{own}",
        "proc/self/mountinfo": f"30 23 0:26 {mounted} /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup rw",
    }


def version_1(own: str = "/docker/abc", mounted: str = "/") -> dict[str, object]:
    """Version 1, CPU and its accounting on one mount; version 2 is mounted without controllers, as systemd does."""
    return {
        "proc/self/cgroup": f"5:memory:{own}\n4:cpu,cpuacct:{own}\n3:cpuset:{own}\n1:name=systemd:{own}\n0::{own}",
        "proc/self/mountinfo": "\n".join(
            [
                f"31 30 0:27 {mounted} /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw",
                f"32 30 0:29 {mounted} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct",
                f"33 30 0:30 {mounted} /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset",
                f"34 30 0:31 {mounted} /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
            ]
        ),
    }
