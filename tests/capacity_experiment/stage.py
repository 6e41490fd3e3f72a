"""A private Redis, hosts with processes of their own, and what is read of them from outside."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rq import Queue

from farm_worker.footprint import cpu_seconds
from farm_worker.load import cgroup as cgroups
from farm_worker.load import cpu
from farm_worker.load.files import KeptFile
from tests.capacity_experiment.verdict import Round, Step
from tests.support.farm import COMMANDS, Farm, Member
from tests.support.waiting import wait_until

JOBS = Path(__file__).parent / "jobs"
MEMORY_CGROUPS = Path("/sys/fs/cgroup/memory")
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class Workload:
    """A function, and what of the machine it is to be bound by."""

    name: str
    function: str
    arguments: tuple[Any, ...]
    runs: int
    side_by_side: int | None
    settle_seconds: float
    window_seconds: float
    shares: tuple[float, float]
    """Processes of the two other steps, as parts of the answer."""
    memory_limit: int | None = None
    """Bytes of the container that all of it runs in."""


class Stage:
    """Starts hosts one after the other."""

    def __init__(self, url: str, folder: Path) -> None:
        self.farm = Farm(url, {**os.environ, "XDG_STATE_HOME": str(folder)}, folder, [JOBS])

    def round(self, workload: Workload) -> Round:
        """Measures, asks, and observes. Raises AssertionError when a host does not do its work."""
        with container(workload.memory_limit) as group:
            first = self._ask(workload, group)
            answer = int(first["processes"])
            counts = sorted({max(1, round(share * answer)) for share in workload.shares} | {answer})
            steps = [self._step(workload, count, count == answer, group) for count in counts]
            again = self._ask(workload, group)["result"]  # what a CPU does in a second changes from minute to minute
        result = first["result"]
        return Round(
            binding=result["binding"],
            fits=_middle(result["fits"], again["fits"]),
            per_second=_middle(*(each["fits"] / _seconds(each) for each in (result, again))),
            answer=answer,
            answer_per_second=answer / _middle(_seconds(result), _seconds(again)),
            line=first["settings"]["threshold" if workload.memory_limit is None else "memory_threshold"],
            steps=steps,
            drift=again["fits"] / result["fits"],
        )

    def _ask(self, workload: Workload, group: Path | None) -> dict[str, Any]:
        words = [str(COMMANDS / "farm"), "capacity", "--json", "--measure", workload.function]
        words += ["--runs", str(workload.runs)]
        if workload.side_by_side is not None:
            words += ["--side-by-side", str(workload.side_by_side)]
        command = _inside(group, [*words, *map(str, workload.arguments)])
        ran = subprocess.run(
            command, env=self.farm.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert ran.returncode == 0, ran.stderr
        said: dict[str, Any] = json.loads(ran.stdout)
        return said

    def _step(self, workload: Workload, processes: int, as_advised: bool, group: Path | None) -> Step:
        """`as_advised`: with the threshold as it is by default. Else the host is never full."""
        self.farm.redis.flushdb()
        settings: dict[str, Any] = {"name": "one", "processes": processes, "idle_processes": processes}
        if not as_advised or workload.memory_limit is not None:  # the CPUs, and who else uses them, are no matter there
            settings["threshold"] = 1
        if not as_advised:
            settings["memory_threshold"] = 1
        host = self.farm._start("host", _inside(group, [sys.executable, "-P", "-m", "farm_worker"]), settings)
        try:
            wait_until(lambda: self.farm.published("one").get("idle") == str(processes), "all processes are warm", 60)
            self._keep_waiting(workload, processes)
            _pass(workload.settle_seconds)
            return self._observe(workload, processes, host, group)
        finally:
            host.kill_tree()
            self.farm.members.remove(host)

    def _keep_waiting(self, workload: Workload, processes: int) -> None:
        """More jobs than a step can do."""
        seconds = workload.settle_seconds + workload.window_seconds
        count = int(20 + processes * seconds / workload.arguments[1])
        self.farm.queue().enqueue_many(
            [Queue.prepare_data(workload.function, workload.arguments, result_ttl=0) for _ in range(count)]
        )

    def _observe(self, workload: Workload, processes: int, host: Member, group: Path | None) -> Step:
        stat, ids = KeptFile("/proc/stat"), cpu.cpu_ids(cgroups.find(Path("/")), Path("/"))
        before = (time.monotonic(), cpu_seconds(host.pid), cpu.read_busy(stat, ids), self.farm.count("finished"))
        memory: list[float] = []
        looks = full = 0
        while time.monotonic() - before[0] < workload.window_seconds:
            looks += 1
            full += self.farm.published("one").get("state") == "full"
            if group is not None:
                memory.append(_working_set(group))
            _pass(LOOK_SECONDS)
        after = (time.monotonic(), cpu_seconds(host.pid), cpu.read_busy(stat, ids), self.farm.count("finished"))
        stat.close()
        assert self.farm.redis.llen("rq:queue:default"), "jobs were left to wait for"
        passed, own = after[0] - before[0], after[1] - before[1]
        cores = cpu.allowed_cpus()
        busy = after[2].seconds - before[2].seconds
        return Step(
            processes=processes,
            use=own / passed / cores if workload.memory_limit is None else _high(memory) / workload.memory_limit,
            per_second=(after[3] - before[3]) / passed,
            others=max(busy - own, 0.0) / passed / after[2].cpus,
            full=full / looks,
        )


@contextmanager
def container(limit: int | None) -> Iterator[Path | None]:
    """A cgroup with so much memory; None without a limit. Raises OSError where none can be made."""
    if limit is None:
        yield None
        return
    group = MEMORY_CGROUPS / f"rq-farm-capacity-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        yield group
    finally:
        wait_until(lambda: not (group / "cgroup.procs").read_text(), "the cgroup is empty", 30)
        group.rmdir()


def _seconds(result: Mapping[str, Any]) -> float:
    """What a job takes beside as many as run at once."""
    return float(result["wall_seconds"]) + float(result["cpu_wait_seconds"])


def _inside(group: Path | None, command: Sequence[str]) -> list[str]:
    if group is None:
        return list(command)
    return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh", *command]


def _working_set(group: Path) -> float:
    statistics = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
    return int((group / "memory.usage_in_bytes").read_text()) - int(statistics["total_inactive_file"])


def _high(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _middle(*values: float) -> float:
    return sum(values) / len(values)


def _pass(seconds: float) -> None:
    time.sleep(seconds)
