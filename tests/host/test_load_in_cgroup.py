"""The load within a real cgroup that may use half a CPU, against the time that the kernel says it used."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm.tether import tethered
from tests.support.farm import Farm
from tests.support.waiting import wait_out, wait_until

CGROUPS = Path("/sys/fs/cgroup")
QUOTA = 0.5
POINTS = 0.05

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Limited:
    """A cgroup of half a CPU."""

    folders: tuple[Path, ...]
    usage: Path

    def used(self) -> float:
        """CPU seconds, as the kernel counts them."""
        text = self.usage.read_text()
        if self.usage.name == "cpuacct.usage":
            return int(text) / 1e9
        return int(text.split("usage_usec ")[1].split()[0]) / 1e6

    @property
    def words(self) -> list[str]:
        """Begin a command that runs in it."""
        enter = "; ".join(f"echo $$ > {folder}/cgroup.procs" for folder in self.folders)
        return ["sh", "-c", f'{enter}; exec "$@"', "sh"]


@pytest.fixture
def limited() -> Iterator[Limited]:
    name = f"rq-farm-test-{os.getpid()}"
    version_2 = (CGROUPS / "cgroup.controllers").exists()
    folders = [CGROUPS / name] if version_2 else [CGROUPS / "cpu" / name, CGROUPS / "cpuacct" / name]
    made: list[Path] = []
    try:
        for folder in folders:
            if not folder.resolve().exists():  # where both controllers are one mount, it is there already
                folder.mkdir()
                made.append(folder.resolve())
        if version_2:
            (folders[0] / "cpu.max").write_text("50000 100000")
        else:
            (folders[0] / "cpu.cfs_period_us").write_text("100000")
            (folders[0] / "cpu.cfs_quota_us").write_text("50000")
    except OSError as error:
        for folder in made:
            folder.rmdir()
        pytest.skip(f"no cgroup with a quota can be made here: {error}")
    yield Limited(tuple(folders), folders[-1] / ("cpu.stat" if version_2 else "cpuacct.usage"))
    for folder in reversed(made):
        wait_until(lambda folder=folder: not (folder / "cgroup.procs").read_text(), "the cgroup is empty")
        folder.rmdir()


MEASURE = """
import json, os, sys, time
from farm_worker.load.sampler import Sampler

share, quota = float(sys.argv[1]), float(sys.argv[2])
sampler = Sampler()
sampler.sample([os.getpid()])
print("begin", flush=True)
sys.stdin.readline()
facts = sampler.sample([os.getpid()])  # what came before is the work of an interpreter that starts
sampler._cgroup.forget(), sampler._machine.forget(), sampler._own.forget()
for step in range(5):
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < 0.5:
        if time.process_time() - used < share * quota * (time.monotonic() - began):
            sum(range(1000))
        else:
            time.sleep(0.002)
    facts = sampler.sample([os.getpid()])
print(json.dumps([facts.load, facts.own_load, facts.cpu_count, facts.load_source]), flush=True)
sys.stdin.readline()
"""


def busy_seconds() -> list[float]:
    """Of each CPU of the machine: busy ones, and all."""
    first = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    ticks = [int(text) for text in first[:8]]
    return [(sum(ticks) - ticks[3] - ticks[4]) / 100, sum(ticks) / 100]


@pytest.mark.parametrize("share", [0.25, 0.5, 2.0])
def test_the_load_is_within_five_points_of_what_the_kernel_counted(limited: Limited, share: float) -> None:
    command = [*limited.words, sys.executable, "-c", MEASURE, str(share), str(QUOTA)]
    process = subprocess.Popen(tethered(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "begin\n"
        used, busy = limited.used(), busy_seconds()
        process.stdin.write("go\n")
        process.stdin.flush()
        load, own_load, cpu_count, source = json.loads(process.stdout.readline())
        after_used, after_busy = limited.used(), busy_seconds()
        process.stdin.close()

    cpus = os.cpu_count() or 1
    seconds = (after_busy[1] - busy[1]) / cpus
    truth = (after_used - used) / seconds / QUOTA
    of_machine = (after_busy[0] - busy[0]) / (after_busy[1] - busy[1])
    assert cpu_count == QUOTA
    assert own_load == pytest.approx(min(truth, 1.0), abs=POINTS)
    assert load == pytest.approx(min(max(truth, of_machine), 1.0), abs=POINTS)
    if abs(truth - of_machine) > 2 * POINTS:
        assert source == ("cgroup" if truth > of_machine else "machine")


def test_a_host_publishes_the_load_of_its_cgroup(
    limited: Limited, farm: Farm, user_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (user_folder / "burning.py").write_text("def burn():\n    while True: pass\n")
    monkeypatch.setattr("tests.support.farm.tethered", lambda command: tethered([*limited.words, *command]))
    farm.host()
    assert farm.published("one")["cpu_count"] == "0.5"
    farm.queue().enqueue("burning.burn", job_timeout=120)

    wait_until(lambda: float(farm.published("one")["own_load"]) > 0.2, "it burns", 30)
    wait_out(3)  # what was before is no part of the mean any more
    began, used = busy_seconds(), limited.used()
    published = means_of_beats(farm, seconds=10)
    seconds = (busy_seconds()[1] - began[1]) / (os.cpu_count() or 1)
    truth = (limited.used() - used) / seconds / QUOTA

    assert published["own_load"] == pytest.approx(min(truth, 1.0), abs=POINTS)
    assert published["load"] >= published["own_load"] - POINTS
    assert json.loads(farm.published("one")["sources"])["cpu_count"].endswith(("cpu.cfs_quota_us", "cpu.max"))


def means_of_beats(farm: Farm, seconds: float) -> dict[str, float]:
    """Of what the host published with each beat of so many seconds."""
    beats: dict[str, dict[str, str]] = {}
    end = time.monotonic() + seconds

    def is_over() -> bool:
        published = farm.published("one")
        beats[published["beat_at"]] = published
        return time.monotonic() >= end

    wait_until(is_over, "the beats are read", seconds + 10)
    return {name: sum(float(beat[name]) for beat in beats.values()) / len(beats) for name in ("load", "own_load")}
