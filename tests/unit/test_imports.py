"""Who may import whom: the contracts of pyproject.toml bite. A copy of the packages gets one wrong import each."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.wheel import ROOT

PACKAGES = {"farm": "farm/farm", "farm_worker": "worker/farm_worker", "farm_settings": "settings/farm_settings"}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The three packages side by side, with our configuration."""
    for name, folder in PACKAGES.items():
        shutil.copytree(ROOT / folder, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_packages_keep_every_contract(copy: Path) -> None:
    broken, report = _broken_contracts(copy)

    assert broken == set(), report


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("farm_settings/__init__.py", "import farm.keys", "The components point one way"),
        ("farm/errors.py", "import farm.store.connection", "Inside farm:"),
        ("farm/store/connection.py", "import farm.client", "Inside farm:"),
        ("farm_worker/pool/pool.py", "import farm_worker.host", "Inside farm_worker:"),
        ("farm/client.py", "import redis", "Only farm.store talks to Redis"),
        ("farm/coordinator/__init__.py", "import rq", "RQ's classes"),
        ("farm_worker/pool/child.py", "import farm_settings", "A process knows nothing of its host"),
        ("farm_worker/host.py", "import farm_worker.pool.child", "The parent of the pool never loads"),
        ("farm/coordinator/recoverer.py", "import farm.coordinator.upkeep", "The coordinator's duties"),
        ("farm_worker/host.py", "import farm.client", "A host needs nothing"),
        ("farm/zebra.py", "", "Inside farm:"),
    ],
)
def test_a_wrong_import_or_a_module_without_a_place_breaks_its_contract(
    copy: Path, module: str, line: str, contract: str
) -> None:
    path = copy / module
    path.write_text(f"{path.read_text() if path.exists() else ''}\n{line}\n")

    broken, report = _broken_contracts(copy)

    assert any(name.startswith(contract) for name in broken), report


def _broken_contracts(folder: Path) -> tuple[set[str], str]:
    names = [contract["name"] for contract in _configuration()["contracts"]]
    run = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    broken = {name for name in names if f"{name} BROKEN" in run.stdout}
    assert (run.returncode == 0) == (not broken), run.stdout + run.stderr
    return broken, run.stdout


def _configuration() -> dict[str, list[dict[str, str]]]:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert isinstance(configuration, dict)
    return configuration
