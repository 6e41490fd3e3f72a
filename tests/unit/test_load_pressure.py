"""Pressure as the kernel tells it: our cgroup's, the machine's, or none."""

from pathlib import Path

import pytest

from farm_worker.load import cgroup
from farm_worker.load.facts import SamplingFailed
from farm_worker.load.pressure import Pressure, PressureFiles
from farm_worker.load.sampler import Sampler
from tests.support.kernel_files import machine, version_1, version_2, write

LINES = "some avg10={} avg60=40.00 avg300=20.00 total=123\nfull avg10=90.00 avg60=0.00 avg300=0.00 total=0"
MACHINE = {f"proc/pressure/{name}": LINES.format(share) for name, share in {"cpu": 5, "memory": 6, "io": 7.5}.items()}
OWN = {f"sys/fs/cgroup/app/{name}.pressure": LINES.format(50) for name in ("cpu", "memory", "io")}


def read(root: Path) -> Pressure:
    files = PressureFiles(cgroup.find(root), root)
    pressure = files.read()
    files.close()
    return pressure


def test_the_pressure_of_our_own_cgroup_counts(tmp_path: Path) -> None:
    assert read(write(tmp_path, machine() | version_2() | MACHINE | OWN)) == Pressure(0.5, 0.5, 0.5)


@pytest.mark.parametrize("mounted", [version_1(), version_2()])
def test_without_files_of_the_cgroup_the_machines_pressure_counts(tmp_path: Path, mounted: dict[str, object]) -> None:
    assert read(write(tmp_path, machine() | mounted | MACHINE)) == Pressure(0.05, 0.06, 0.075)


def test_beside_version_1_the_unified_hierarchy_tells(tmp_path: Path) -> None:
    own = {"sys/fs/cgroup/unified/docker/abc/cpu.pressure": LINES.format(25)}
    assert read(write(tmp_path, machine() | version_1() | MACHINE | own)) == Pressure(0.25, 0.06, 0.075)


def test_a_kernel_without_pressure_tells_none(tmp_path: Path) -> None:
    root = write(tmp_path, machine() | version_2())
    assert read(root) == Pressure(None, None, None)
    assert PressureFiles(cgroup.find(root), root).sources == {}


def test_files_that_cannot_be_read_are_as_if_not_there(tmp_path: Path) -> None:
    """With `psi=0`, or turned off for the cgroup, reading says EOPNOTSUPP; here it is a folder that says EISDIR."""
    root = write(tmp_path, machine() | version_2() | MACHINE)
    (root / "sys/fs/cgroup/app/cpu.pressure").mkdir(parents=True)
    (root / "proc/pressure/io").write_text("")

    assert read(root) == Pressure(0.05, 0.06, None)


def test_pressure_that_is_turned_off_while_we_run_is_a_failure_once_and_then_absent(tmp_path: Path) -> None:
    root = write(tmp_path, machine() | version_2() | MACHINE)
    sampler = Sampler(root)
    assert sampler.sample([]).pressure_cpu == 0.05
    assert sampler.sample([]).sources["pressure_cpu"] == str(root / "proc/pressure/cpu")

    (root / "proc/pressure/cpu").write_text("")
    with pytest.raises(SamplingFailed, match="pressure"):
        sampler.sample([])

    facts = sampler.sample([])
    assert (facts.pressure_cpu, facts.pressure_io) == (None, 0.075)
    assert "pressure_cpu" not in facts.sources
    sampler.close()


def test_on_this_machine_pressures_are_shares_or_absent() -> None:
    sampler = Sampler()
    facts = sampler.sample([])
    sampler.close()
    found = [facts.pressure_cpu, facts.pressure_memory, facts.pressure_io]
    assert all(share is None or 0 <= share <= 1 for share in found)
    has_pressure = Path("/proc/pressure/cpu").exists()
    assert (facts.pressure_cpu is not None) == has_pressure or not has_pressure
