"""The command `farm` starts in folders that shadow everything, and hands the user's path on."""

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from farm.isolation import isolated_command, isolated_environment, user_environment
from tests.support.wheel import ROOT

FARM = Path(sys.executable).with_name("farm")
HOSTILE = ("queue", "redis", "logging", "typing", "json", "click", "pydantic", "rq", "asyncio", "settings", "worker")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with modules that must not be imported in place of the real ones."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the user was imported')\n")
    return folder


def settings_of(command: list[str], cwd: Path, **variables: str) -> dict[str, dict[str, object]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("FARM_", "PYTHON"))}
    result = subprocess.run(
        [*command, "settings", "--json"],
        cwd=cwd,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert result.returncode == 0, result.stderr
    settings: dict[str, dict[str, object]] = json.loads(result.stdout)["settings"]
    return settings


@pytest.mark.parametrize("command", [[str(FARM)], [sys.executable, "-m", "farm"]], ids=["script", "module"])
def test_the_command_starts_in_a_folder_that_shadows_everything(command: list[str], hostile: Path) -> None:
    if command[1:]:
        (hostile / "typing.py").unlink()  # python -m imports it before anything of ours runs
    settings = settings_of(command, hostile)

    assert settings["path"] == settings["path"] | {"value": [str(hostile)], "origin": "default"}


def test_pythonpath_is_moved_into_the_path_of_jobs(hostile: Path, tmp_path: Path) -> None:
    (hostile / "typing.py").unlink()  # pip's script imports re, which imports some of these
    settings = settings_of([str(FARM)], tmp_path, PYTHONPATH=f"{hostile}:/elsewhere")

    assert settings["path"]["value"] == [str(tmp_path), str(hostile), "/elsewhere"]
    assert settings["path"]["origin"] == "default"


def test_a_path_of_the_users_own_wins(hostile: Path, tmp_path: Path) -> None:
    settings = settings_of([str(FARM)], hostile, FARM_PATH=str(tmp_path))

    assert settings["path"]["value"] == [str(tmp_path)]
    assert settings["path"]["origin"] == "environment"


@pytest.fixture
def bare_python(tmp_path: Path) -> Path:
    """An interpreter with nothing installed."""
    venv.create(tmp_path / "bare", symlinks=True)
    return tmp_path / "bare/bin/python"


@pytest.fixture
def target_folder(tmp_path: Path) -> Path:
    """The farm and its dependencies in one folder, as `pip install --target` leaves them."""
    folder = tmp_path / "target"
    for source in ("farm/farm", "worker/farm_worker", "settings/farm_settings"):
        shutil.copytree(ROOT / source, folder / Path(source).name, ignore=shutil.ignore_patterns("__pycache__"))
    for site_packages in (Path(path) for path in sys.path if path.endswith("site-packages")):
        for package in site_packages.glob("[A-Za-z_]*"):
            if package.suffix != ".pth" and not (folder / package.name).exists():
                (folder / package.name).symlink_to(package)
    return folder


def test_a_farm_found_only_through_pythonpath_is_found_again(
    bare_python: Path, target_folder: Path, hostile: Path, tmp_path: Path
) -> None:
    (hostile / "typing.py").unlink()  # python -m imports it before anything of ours runs
    python_path = f"{target_folder}:{hostile}"

    settings = settings_of([str(bare_python), "-m", "farm"], tmp_path, PYTHONPATH=python_path)

    assert settings["path"]["value"] == [str(tmp_path), str(target_folder), str(hostile)]
    environment = isolated_environment({"PYTHONPATH": python_path})
    command = isolated_command("farm_worker", ["x"], environment)
    assert command[:3] == [sys.executable, "-P", "-c"]
    assert repr([str(target_folder)]) in command[3]


def test_an_installed_farm_is_started_by_its_name() -> None:
    environment = isolated_environment({"PYTHONPATH": "/nowhere"})

    assert isolated_command("farm_worker", ["x"], environment) == [sys.executable, "-P", "-m", "farm_worker", "x"]


def test_the_users_environment_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for original in (
        {"HOME": "/", "PYTHONPATH": "/a:/b"},
        {"HOME": "/"},
        {"FARM_PATH": "/own", "PYTHONPATH": "/a"},
    ):
        isolated = isolated_environment(original)

        assert "PYTHONPATH" not in isolated
        assert user_environment(isolated) == original
        assert isolated_environment(isolated) == isolated
