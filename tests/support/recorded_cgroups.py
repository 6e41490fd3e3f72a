"""What the kernel shows a process of its cgroup, recorded on machines, in containers and in pods.

Identifiers are shortened; the shapes of paths, the order of lines and the names of files are as they were. `{used}` in
a tree stands for the CPU time used so far, which the tests let grow.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.support.kernel_files import GIB, machine, write

CONTAINER = "4f1d2c6b9a7e4c0f8d53b21e6a90c7d8"
POD = "8c0e1f52-6b1d-4f7e-9d3c-2a5b7c9e1f04"
FLAT_POD = POD.replace("-", "_")
NO_LIMIT_1 = 9223372036854771712


@dataclass(frozen=True)
class Recorded:
    """One tree, and what is true of it."""

    files: dict[str, object]
    usage: str
    """The file that counts what is measured against the quota, or against all CPUs that we may use."""
    cpus: float
    """CPUs allowed."""
    memory_total: int
    source_of_cpus: str
    machine_cpus: int = 8
    affinity: str = "0-7"
    version: int = 2

    def write(self, root: Path) -> Path:
        """The tree, with no CPU time used yet."""
        write(root, machine(self.machine_cpus, self.affinity) | self.files)
        self.use(root, 0.0)
        return root

    def use(self, root: Path, seconds: float) -> None:
        """So many CPU seconds were used since the beginning."""
        count = round(seconds * 1e9) if self.version == 1 else f"usage_usec {round(seconds * 1e6)}\nuser_usec 1"
        write(root, {self.usage: count})


def mounts_1(own: str) -> str:
    """mountinfo of version 1; `own`: the part of each hierarchy that is shown."""
    folders = {"systemd": "xattr,name=systemd", **{name: name for name in ("cpu,cpuacct", "cpuset", "memory")}}
    lines = [
        f"{40 + number} 39 0:{30 + number} {own} /sys/fs/cgroup/{folder} "
        f"ro,nosuid,nodev,noexec,relatime master:{number} - cgroup cgroup rw,{options}"
        for number, (folder, options) in enumerate(folders.items())
    ]
    return "\n".join(["23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw", *lines])


def own_1(path: str) -> str:
    """/proc/self/cgroup of version 1."""
    return "\n".join(
        [f"11:memory:{path}", f"7:cpu,cpuacct:{path}", f"5:cpuset:{path}", "3:freezer:/", f"1:name=systemd:{path}"]
    )


MOUNTS_2 = (
    "22 27 0:20 / /proc rw,nosuid,nodev,noexec,relatime shared:12 - proc proc rw\n"
    "31 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate"
)
UNIFIED = "sys/fs/cgroup"


def own_2(path: str) -> dict[str, object]:
    return {"proc/self/cgroup": f"0::{path}", "proc/self/mountinfo": MOUNTS_2}


def limits_2(folder: str, cpu: str = "max 100000", memory: object = "max", used: int = GIB) -> dict[str, object]:
    return {
        f"{folder}/cpu.max": cpu,
        f"{folder}/memory.max": memory,
        f"{folder}/memory.high": "max",
        f"{folder}/memory.current": used,
        f"{folder}/memory.stat": f"anon {used // 2}\nfile {used // 2}\ninactive_file {used // 4}",
    }


def limits_1(folder: str, quota: int = -1, memory: int = NO_LIMIT_1) -> dict[str, object]:
    return {
        f"{UNIFIED}/cpu,cpuacct{folder}/cpu.cfs_quota_us": quota,
        f"{UNIFIED}/cpu,cpuacct{folder}/cpu.cfs_period_us": 100000,
        f"{UNIFIED}/memory{folder}/memory.limit_in_bytes": memory,
        f"{UNIFIED}/memory{folder}/memory.usage_in_bytes": GIB,
        f"{UNIFIED}/memory{folder}/memory.stat": f"cache 1\ntotal_cache 2\ntotal_inactive_file {GIB // 4}",
    }


KUBE_1 = f"/kubepods/burstable/pod{POD}/{CONTAINER}"
KUBE_SYSTEMD = (
    f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{FLAT_POD}.slice/cri-containerd-{CONTAINER}.scope"
)
KUBE_POD = KUBE_SYSTEMD.rpartition("/")[0]
USER = "/user.slice/user-1000.slice"
APP = f"{USER}/user@1000.service/app.slice/farm.scope"

TREES = {
    "version 2, a service with a quota": Recorded(
        own_2("/system.slice/farm.service")
        | limits_2(f"{UNIFIED}/system.slice/farm.service", "250000 100000", 4 * GIB)
        | limits_2(f"{UNIFIED}/system.slice"),
        usage=f"{UNIFIED}/system.slice/farm.service/cpu.stat",
        cpus=2.5,
        memory_total=4 * GIB,
        source_of_cpus=f"{UNIFIED}/system.slice/farm.service/cpu.max",
    ),
    "version 1, a group with a quota": Recorded(
        {"proc/self/cgroup": own_1("/batch"), "proc/self/mountinfo": mounts_1("/")}
        | limits_1("/batch", 200000, 2 * GIB)
        | limits_1(""),
        usage=f"{UNIFIED}/cpu,cpuacct/batch/cpuacct.usage",
        cpus=2.0,
        memory_total=2 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu,cpuacct/batch/cpu.cfs_quota_us",
        version=1,
    ),
    "a systemd slice above ours has the quota": Recorded(
        own_2(APP)
        | limits_2(f"{UNIFIED}{USER}", "300000 100000", 8 * GIB, used=2 * GIB)
        | limits_2(f"{UNIFIED}{USER}/user@1000.service")
        | limits_2(f"{UNIFIED}{APP}", "600000 100000")
        | {f"{UNIFIED}{APP}/cpu.stat": "usage_usec 1"},
        usage=f"{UNIFIED}{USER}/cpu.stat",
        cpus=3.0,
        memory_total=8 * GIB,
        source_of_cpus=f"{UNIFIED}{USER}/cpu.max",
    ),
    "Docker, version 2, a namespace of its own": Recorded(
        own_2("/") | limits_2(UNIFIED, "150000 100000", GIB * 3),
        usage=f"{UNIFIED}/cpu.stat",
        cpus=1.5,
        memory_total=3 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu.max",
    ),
    "Docker, version 1": Recorded(
        {"proc/self/cgroup": own_1(f"/docker/{CONTAINER}"), "proc/self/mountinfo": mounts_1(f"/docker/{CONTAINER}")}
        | limits_1("", 150000, 3 * GIB),
        usage=f"{UNIFIED}/cpu,cpuacct/cpuacct.usage",
        cpus=1.5,
        memory_total=3 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu,cpuacct/cpu.cfs_quota_us",
        version=1,
    ),
    "Kubernetes, driver cgroupfs, version 1": Recorded(
        {"proc/self/cgroup": own_1(KUBE_1), "proc/self/mountinfo": mounts_1(KUBE_1)} | limits_1("", 400000, 6 * GIB),
        usage=f"{UNIFIED}/cpu,cpuacct/cpuacct.usage",
        cpus=4.0,
        memory_total=6 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu,cpuacct/cpu.cfs_quota_us",
        version=1,
    ),
    "Kubernetes, driver systemd, version 1": Recorded(
        {"proc/self/cgroup": own_1(KUBE_SYSTEMD), "proc/self/mountinfo": mounts_1(KUBE_SYSTEMD)}
        | limits_1("", 100000, 2 * GIB),
        usage=f"{UNIFIED}/cpu,cpuacct/cpuacct.usage",
        cpus=1.0,
        memory_total=2 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu,cpuacct/cpu.cfs_quota_us",
        version=1,
    ),
    "Kubernetes, driver systemd, version 2, a namespace of its own": Recorded(
        own_2("/") | limits_2(UNIFIED, "200000 100000", 2 * GIB),
        usage=f"{UNIFIED}/cpu.stat",
        cpus=2.0,
        memory_total=2 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu.max",
    ),
    "Kubernetes, driver systemd, version 2, the node's namespace, the pod limits": Recorded(
        own_2(KUBE_SYSTEMD)
        | limits_2(f"{UNIFIED}{KUBE_SYSTEMD}")
        | limits_2(f"{UNIFIED}{KUBE_POD}", "200000 100000", 4 * GIB)
        | {f"{UNIFIED}{KUBE_SYSTEMD}/cpu.stat": "usage_usec 1"},
        usage=f"{UNIFIED}{KUBE_POD}/cpu.stat",
        cpus=2.0,
        memory_total=4 * GIB,
        source_of_cpus=f"{UNIFIED}{KUBE_POD}/cpu.max",
    ),
    "Kubernetes, driver cgroupfs, version 2, the node's namespace": Recorded(
        own_2(KUBE_1) | limits_2(f"{UNIFIED}{KUBE_1}", "120000 100000", 2 * GIB),
        usage=f"{UNIFIED}{KUBE_1}/cpu.stat",
        cpus=1.2,
        memory_total=2 * GIB,
        source_of_cpus=f"{UNIFIED}{KUBE_1}/cpu.max",
    ),
    "half a CPU": Recorded(
        own_2("/") | limits_2(UNIFIED, "50000 100000", GIB * 2),
        usage=f"{UNIFIED}/cpu.stat",
        cpus=0.5,
        memory_total=2 * GIB,
        source_of_cpus=f"{UNIFIED}/cpu.max",
    ),
    "a cpuset of three, version 2": Recorded(
        own_2("/") | limits_2(UNIFIED) | {f"{UNIFIED}/cpuset.cpus.effective": "2-3,6"},
        usage=f"{UNIFIED}/cpu.stat",
        cpus=3.0,
        memory_total=16 * GIB,
        source_of_cpus="proc/self/status, the cpuset",
        affinity="2-3,6",
    ),
    "a cpuset of three, version 1": Recorded(
        {"proc/self/cgroup": own_1("/docker/abc"), "proc/self/mountinfo": mounts_1("/docker/abc")}
        | limits_1("")
        | {f"{UNIFIED}/cpuset/cpuset.cpus": "0-2"},
        usage=f"{UNIFIED}/cpu,cpuacct/cpuacct.usage",
        cpus=3.0,
        memory_total=16 * GIB,
        source_of_cpus="proc/self/status, the cpuset",
        affinity="0-2",
        version=1,
    ),
    "no quota": Recorded(
        own_2("/system.slice/farm.service") | limits_2(f"{UNIFIED}/system.slice/farm.service"),
        usage=f"{UNIFIED}/system.slice/farm.service/cpu.stat",
        cpus=8.0,
        memory_total=16 * GIB,
        source_of_cpus="proc/self/status, the cpuset",
    ),
}
